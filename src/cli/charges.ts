import { type Command, Option } from "commander";
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
import { type Config, publicUrlOf } from "../config.js";
import type { ChargeId } from "../entities/charge.js";
import { presentAttempt, presentCharge } from "../http/charges/charge.js";
import { createLogger } from "../logging.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { trimmedAmount } from "../stellar/stroops.js";
import { idOf, limit, note, operator } from "./arguments.js";
import { openChargeProviders } from "./open-charge-providers.js";
import { type Opened, withDatabase } from "./open-database.js";
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
      await withDatabase("charges", (opened) => list(opened, options));
    });
  charges
    .command("show")
    .description("one charge, with its newest attempts")
    .argument("<id>", "its id", idOf("a charge's"))
    .option("--json", "as JSON")
    .action(async (id: string, options: { json?: boolean }) => {
      await withDatabase("charges", (opened) => show(opened, id, options));
    });
  charges
    .command("close")
    .description("say what became of an unknown charge, once you have asked its provider")
    .argument("<id>", "as `paidonce charges list --status unknown` shows it", idOf("a charge's"))
    .addOption(
      new Option("--as <end>", "what the provider says")
        .choices(["failed", "succeeded"])
        .makeOptionMandatory(),
    )
    .option("--provider-id <id>", "what the provider calls it, where that is not known yet")
    .requiredOption("--note <text>", "how you know; kept with the charge, for the merchant too", note("why"))
    .addHelpText(
      "after",
      '\nExample:\n  paidonce charges close 01a1… --as failed --note "not in their dashboard, ticket 7"',
    )
    .action(async (id: ChargeId, options: CloseOptions) => {
      await withDatabase("charges", (opened) => close(opened, id, options));
    });
}

async function list(opened: Opened, { status, limit, json }: ListOptions): Promise<void> {
  const { manager } = opened.dataSource;
  const found = await (status === undefined
    ? listNewestCharges(manager, limit)
    : listOpenCharges(manager, status, limit));
  if (found.length === 0 && !json) await print("no charges");
  for (const charge of found) {
    if (!(await print(...(json ? [chargeAsJson(charge, opened.config)] : describe(charge))))) return;
  }
}

async function show(opened: Opened, id: string, { json }: { json?: boolean }): Promise<void> {
  const { manager } = opened.dataSource;
  const charge = await readCharge(manager, id);
  if (charge === null) {
    await print(`there is no charge ${id}`);
    process.exitCode = EXIT.failed;
    return;
  }
  const attempts = await listAttempts(manager, id, null, ATTEMPTS_SHOWN);
  if (json) await print(chargeAsJson(charge, opened.config, attempts));
  else await print(...describe(charge), ...attempts.map(describeAttempt));
}

async function close({ dataSource, config }: Opened, id: ChargeId, options: CloseOptions): Promise<void> {
  const { as, note } = options;
  const providerId = options.providerId ?? null;
  try {
    if (as === "failed") await giveUp(dataSource, config, id);
    await inSerializableTransaction(dataSource, (runner) =>
      closeCharge(runner, { id, as, providerId, note, by: operator() }),
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
  await giveUpFirst(provider, charge, config.CHARGE_TIMEOUT_MS);
}

/** As the API shows it, and what only operators see. Without the payload: it is the merchant's and its payer's. */
function chargeAsJson(charge: ChargeRecord, config: Config, attempts?: readonly ChargeAttempt[]): string {
  const around = { publicUrl: publicUrlOf(config), networkPassphrase: config.NETWORK_PASSPHRASE };
  return JSON.stringify({
    ...presentCharge(charge, around),
    payload: undefined,
    metadata: undefined,
    transaction_hash: charge.transactionHash,
    sends: charge.sends,
    asks: charge.asks,
    leased_since: charge.leasedSince,
    next_attempt_at: charge.nextAttemptAt,
    tried: attempts?.map(presentAttempt),
  });
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
