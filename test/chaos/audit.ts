import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { paceOf } from "../../stage/sandbox/pace.js";
import { CLI } from "../support/role-process.js";
import type { Books } from "./books.js";
import type { DriverLedger, NetworkCredit } from "./ledger.js";
import { environmentOf } from "./redis-side.js";
import type { Scene } from "./scene.js";
import type { Shop } from "./shop.js";
import { LEDGER_MS } from "./world.js";

const run = promisify(execFile);

/** The audit reads the whole history from Horizon, page by page. */
const WITHIN_MS = 600_000;

type Report = {
  readonly credits: number;
  readonly differences: readonly { kind: string; subject: string; detail: string }[];
};

export type Audited = {
  readonly account: string;
  readonly code: number;
  readonly credits: number;
  /** Differences that are none of the driver's own poison. */
  readonly differences: readonly string[];
};

/** What is audited, and what is known to differ. */
type Audits = Pick<Scene, "databaseUrl" | "redis" | "horizonUrl"> & {
  readonly street: { readonly shops: readonly Pick<Shop, "account">[] };
  readonly ledger: Pick<DriverLedger, "poison">;
};

/**
 * Runs `paidonce audit` as an operator does, for each account.
 * @param to the newest ledger: without it, an audit that a fault interrupted would go on, and end where it wanted to
 * @throws Error when it could not finish
 */
export async function auditAll(
  { databaseUrl, redis, horizonUrl, street, ledger }: Audits,
  to: LedgerSequence,
): Promise<Audited[]> {
  const env = {
    PATH: process.env.PATH ?? "",
    DATABASE_URL: databaseUrl,
    ...environmentOf(redis),
    HORIZON_URL: horizonUrl,
    // By default it would spend what a public server gives, and take minutes.
    HORIZON_REQUESTS_PER_HOUR: String(paceOf(LEDGER_MS).requestsPerHour),
    NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
    LOG_LEVEL: "warn",
  };
  const audits: Audited[] = [];
  for (const { account } of street.shops) {
    const { code, report } = await audit(["--account", account, "--to", String(to)], env);
    const differences = report.differences
      .filter(({ subject }) => !ledger.poison.has(subject))
      .map(({ kind, subject, detail }) => `${kind} ${subject}: ${detail}`);
    audits.push({ account, code, credits: report.credits, differences });
  }
  return audits;
}

/**
 * What the audits can't have found if they looked at everything. Pure.
 * @param credits what the network has credited to all accounts
 * @returns in words; empty when each account was audited in whole
 */
export function doubtAudits(
  audits: readonly Audited[],
  credits: readonly NetworkCredit[],
  books: Books,
  { poison }: Pick<DriverLedger, "poison">,
): string[] {
  return audits.flatMap(({ account, code, credits: audited }) => {
    const poisonous = books.credits.filter((row) => row.account === account && poison.has(row.key));
    // A poisonous record is on the network too; a poisonous entry was never there.
    const records = poisonous.filter(({ key }) => poison.get(key) === "must be there").length;
    const due = credits.filter((credit) => credit.account === account).length + records;
    return [
      ...(audited === due ? [] : [`${account}: ${audited} credits audited of ${due}`]),
      ...(code === 0 || (code === 1 && poisonous.length > 0) ? [] : [`${account}: exit code ${code}`]),
    ];
  });
}

async function audit(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; report: Report }> {
  const options = { env, maxBuffer: 512 * 1024 * 1024, timeout: WITHIN_MS };
  const { code, stdout, stderr } = await run(
    process.execPath,
    [CLI, "audit", "--json", ...args],
    options,
  ).then(
    (output) => ({ code: 0, ...output }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
  const [line = ""] = stdout.split("\n");
  if (line === "") throw new Error(`paidonce audit ended with ${code}: ${stderr}`);
  return { code, report: JSON.parse(line) as Report };
}
