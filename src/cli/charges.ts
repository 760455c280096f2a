import { userInfo } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { DataSource } from "typeorm";
import { ChargeNotClosedError, closeCharge, giveUpFirst } from "../charges/close-charge.js";
import {
  type ChargeAttempt,
  type ChargeRecord,
  listAttempts,
  listNewestCharges,
  listOpenCharges,
  OPEN_STATUSES,
  type OpenStatus,
  readCharge,
} from "../charges/read-charges.js";
import { type Config, readConfig } from "../config.js";
import type { ChargeId } from "../entities/charge.js";
import { createLogger } from "../logging.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { trimmedAmount } from "../stellar/stroops.js";
import { chargeAsJson } from "./charge-as-json.js";
import { openChargeProviders } from "./open-charge-providers.js";
import { openDatabaseNow } from "./open-database.js";
import { openHorizon } from "./open-servers.js";
import { EXIT, print, printError } from "./print.js";

/** Newest attempts that are shown of a charge: an unknown one is asked about without end. */
const ATTEMPTS_SHOWN = 20;

type ListOptions = { readonly status?: OpenStatus; readonly limit: number; readonly json?: boolean };
type CloseOptions = {
  readonly as: "failed" | "succeeded";
  readonly providerId?: string;
  readonly note: string;
};

/** The operator's view of every merchant's charges, and the way out of `unknown`. */
export function addChargesCommand(program: Command): void {
  const charges = program
    .command("charges")
    .description("charges of all merchants: list them, and close what is unknown");
  charges
    .command("list", { isDefault: true })
    .description("the newest first; with --status those first that have stood so for the longest")
    .addOption(new Option("--status <status>", "only what is open and stands so").choices(OPEN_STATUSES))
    .option("--limit <number>", "how many", limit, 20)
    .option("--json", "one JSON object per line")
    .action(async (options: ListOptions) => {
      await withDatabase((dataSource) => list(dataSource, options));
    });
  charges
    .command("show")
    .description("one charge, with its newest attempts")
    .argument("<id>", "its id", chargeId)
    .option("--json", "as JSON")
    .action(async (id: string, options: { json?: boolean }) => {
      await withDatabase((dataSource) => show(dataSource, id, options));
    });
  charges
    .command("close")
    .description("say what became of an unknown charge, once you have asked its provider")
    .argument("<id>", "as `paidonce charges list --status unknown` shows it", chargeId)
    .addOption(
      new Option("--as <end>", "what the provider says")
        .choices(["failed", "succeeded"])
        .makeOptionMandatory(),
    )
    .option("--provider-id <id>", "what the provider calls it, where that is not known yet")
    .requiredOption("--note <text>", "how you know; kept with the charge, for the merchant too", closingNote)
    .addHelpText(
      "after",
      '\nExample:\n  paidonce charges close 01a1… --as failed --note "not in their dashboard, ticket 7"',
    )
    .action(async (id: string, options: CloseOptions) => {
      await withDatabase((dataSource, config) => close(dataSource, config, id as ChargeId, options));
    });
}

async function list({ manager }: DataSource, { status, limit, json }: ListOptions): Promise<void> {
  const found = await (status === undefined
    ? listNewestCharges(manager, limit)
    : listOpenCharges(manager, status, limit));
  if (found.length === 0 && !json) await print("no charges");
  for (const charge of found) {
    if (!(await print(...(json ? [chargeAsJson(charge)] : describe(charge))))) return;
  }
}

async function show({ manager }: DataSource, id: string, { json }: { json?: boolean }): Promise<void> {
  const charge = await readCharge(manager, id);
  if (charge === null) {
    await print(`there is no charge ${id}`);
    process.exitCode = EXIT.failed;
    return;
  }
  const attempts = await listAttempts(manager, id, null, ATTEMPTS_SHOWN);
  if (json) await print(chargeAsJson(charge, attempts));
  else await print(...describe(charge), ...attempts.map(describeAttempt));
}

async function close(
  dataSource: DataSource,
  config: Config,
  id: ChargeId,
  options: CloseOptions,
): Promise<void> {
  const { as, note } = options;
  const providerId = options.providerId ?? null;
  const by = `operator:${userInfo().username}`;
  try {
    if (as === "failed") await giveUp(dataSource, config, id);
    await inSerializableTransaction(dataSource, (runner) =>
      closeCharge(runner, { id, as, providerId, note, by }),
    );
    await print(`${id}: ${as}`);
  } catch (error) {
    if (!(error instanceof ChargeNotClosedError)) throw error;
    await print(`${id}: ${error.message}`);
    process.exitCode = EXIT.failed;
  }
}

/** Only what may be closed at all: to cancel what a worker is about to charge would be a decision of its own. */
async function giveUp(dataSource: DataSource, config: Config, id: ChargeId): Promise<void> {
  const charge = await readCharge(dataSource.manager, id);
  if (charge?.status !== "unknown" || charge.leasedSince !== null) return;
  const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "charges");
  const horizon = openHorizon(config, logger, { redis: null, purpose: "submission" });
  const provider = (await openChargeProviders(config, horizon, dataSource)).get(charge.provider);
  if (provider === undefined) {
    await printError(
      `${charge.provider} is not configured here: see to it yourself that nothing is charged there any more`,
    );
    return;
  }
  await giveUpFirst(provider, charge, config.CHARGE_TIMEOUT_SECONDS * 1_000);
}

function describe(charge: ChargeRecord): string[] {
  const { id, status, amount, currency, asset, provider, providerId, merchantId, reference } = charge;
  const { unknownSince, leasedSince, failureCode, failureDetail } = charge;
  const lines = [
    `${charge.createdAt.toISOString()}  ${status}  ${id}`,
    `    ${trimmedAmount(amount)} ${currency ?? asset} by ${provider}${providerId === null ? "" : ` (${providerId})`}, ${JSON.stringify(reference)} of merchant ${merchantId}`,
  ];
  const tried = `tried ${charge.attempts} times: told to charge ${charge.sends}, asked ${charge.asks}`;
  if (status === "unknown") lines.push(`    unknown since ${unknownSince?.toISOString()}; ${tried}`);
  else if (charge.attempts > 0) lines.push(`    ${tried}`);
  if (leasedSince !== null) lines.push(`    with a worker since ${leasedSince.toISOString()}`);
  else if (charge.endedAt === null) lines.push(`    next at ${charge.nextAttemptAt.toISOString()}`);
  if (failureCode !== null) lines.push(`    ${failureCode}: ${failureDetail}`);
  return lines;
}

function describeAttempt({ attempt, kind, startedAt, outcome, detail }: ChargeAttempt): string {
  const what = outcome === null ? "no outcome yet" : outcome.replaceAll("_", " ");
  return `    ${attempt}. ${startedAt.toISOString()}  ${kind}: ${what}${detail === null ? "" : `, ${detail}`}`;
}

async function withDatabase(work: (dataSource: DataSource, config: Config) => Promise<void>): Promise<void> {
  const config = readConfig(process.env);
  const dataSource = await openDatabaseNow(config, "charges");
  try {
    await work(dataSource, config);
  } finally {
    await dataSource.destroy();
  }
}

function limit(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError("It must be a number from 1 to 9999.");
  return Number(text);
}

function chargeId(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new InvalidArgumentError("It must be a charge's id, a UUID.");
  }
  return text;
}

/** Kept with the charge, for whoever asks later why it was closed. */
function closingNote(text: string): string {
  const note = text.trim();
  if (note === "" || note.length > 1000)
    throw new InvalidArgumentError("It must say why, in 1 to 1000 characters.");
  return note;
}
