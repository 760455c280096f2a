import { HorizonClient } from "../../src/horizon/client.js";
import { type Audited, auditAll, doubtAudits } from "./audit.js";
import { type Books, readWholeBooks } from "./books.js";
import { comeToRest } from "./come-to-rest.js";
import type { Fleet } from "./fleet.js";
import type { NetworkCredit } from "./ledger.js";
import type { SandboxClient } from "./sandbox-client.js";
import type { Scene } from "./scene.js";
import type { Shop } from "./shop.js";
import { type Finding, judge } from "./verdict.js";

/** Liveness: far longer than anything takes. Only a system that never comes to rest is red for it. */
const REST_WITHIN_MS = 600_000;

const EXAMPLES = 10;

/** What only a broken G2 could give recovery to do. */
const IMPOSSIBLE = `
  SELECT kind || ' of ' || subject || ': ' || detail AS line FROM recovery_findings
  WHERE kind IN ('paid_without_payment', 'payment_without_paid', 'paid_not_announced') OR action = 'needs_person'`;

const REPAIRS = `
  SELECT kind || ' ' || action AS repair, count(*)::int AS count FROM recovery_findings
  GROUP BY kind, action ORDER BY count DESC`;

export type Proof = {
  /** What recovery has done, by kind and action. */
  readonly repairs: Readonly<Record<string, number>>;
  readonly credits: readonly NetworkCredit[];
  readonly books: Books;
  readonly audits: readonly Audited[];
  /** Empty when every guarantee held. */
  readonly findings: readonly Finding[];
};

/** Once the load and the faults are over: waits until nothing is under way, and finds out whether all is well. */
export async function prove(scene: Scene): Promise<Proof> {
  const { dataSource, ear, street, ledger } = scene;
  const { credits, left } = await rest(scene);
  await ear.checked();
  const horizon = new HorizonClient({ url: scene.sandbox.url });
  const root = () => horizon.root(AbortSignal.timeout(30_000));
  const audits = await auditAll(scene, (await root()).historyLatestLedger);
  const books = await readWholeBooks(dataSource);
  // After the books: nothing in them can be newer.
  const newestLedgerAt = (await root()).historyLatestClosedAt?.getTime() ?? 0;
  const heard = new Map(street.told.map((id) => [id, ear.heard.get(`/${id}`) ?? new Map()]));
  const impossible: { line: string }[] = await dataSource.query(IMPOSSIBLE);
  const repairs: { repair: string; count: number }[] = await dataSource.query(REPAIRS);
  const differences = audits.flatMap((audit) => audit.differences);
  return {
    credits,
    books,
    audits,
    repairs: Object.fromEntries(repairs.map(({ repair, count }) => [repair, count])),
    findings: [
      ...judge({ ledger, credits, books, newestLedgerAt, heard, lies: ear.lies }),
      ...finding("the system did not come to rest", left),
      ...finding("paidonce audit found differences", differences),
      ...finding("paidonce audit did not look at everything", doubtAudits(audits, credits, books, ledger)),
      ...finding(
        "recovery found what can't be",
        impossible.map(({ line }) => line),
      ),
    ],
  };
}

/** What no process may do, whatever is done to it. */
export function fleetFindings({ members }: Fleet): Finding[] {
  return [
    ...finding(
      "a role ended by itself",
      members.flatMap(({ crashes }) => crashes),
    ),
    ...finding(
      "a role did not end cleanly on SIGTERM",
      members.flatMap(({ unclean }) => unclean),
    ),
  ];
}

export function finding(check: string, examples: readonly string[]): Finding[] {
  if (examples.length === 0) return [];
  return [{ check, count: examples.length, examples: examples.slice(0, EXAMPLES) }];
}

/** A transaction of doubtful outcome may apply while the system comes to rest: then that has to be at rest too. */
async function rest(scene: Scene): Promise<{ credits: NetworkCredit[]; left: string[] }> {
  const { sandbox, street } = scene;
  let credits = await networkCredits(sandbox, street.shops);
  for (;;) {
    const left = await comeToRest(scene, lastOf(scene, credits), REST_WITHIN_MS);
    const now = await networkCredits(sandbox, street.shops);
    if (left.length > 0 || now.length === credits.length) return { credits: now, left };
    credits = now;
  }
}

/** The newest operation of each account that must be in the books. */
function lastOf({ street, ledger }: Scene, credits: readonly NetworkCredit[]): Map<string, bigint> {
  const last = new Map<string, bigint>();
  const reach = (account: string, operationId: bigint) => {
    if (operationId > (last.get(account) ?? 0n)) last.set(account, operationId);
  };
  for (const { account, operationId } of credits) reach(account, operationId);
  // Poison goes to one account, and the network's list of credits has none of it.
  const poisoned = street.shops.at(-1)?.account ?? "";
  for (const [key, presence] of ledger.poison) {
    if (presence === "must be there") reach(poisoned, BigInt(key.split("-")[0] ?? 0));
  }
  return last;
}

/** What the network has credited to the merchants since each watch began. */
export async function networkCredits(
  sandbox: SandboxClient,
  shops: readonly Pick<Shop, "account" | "start">[],
): Promise<NetworkCredit[]> {
  const all = await Promise.all(
    shops.map(async ({ account, start }) =>
      (await sandbox.credits(account)).filter(({ operationId }) => operationId > start),
    ),
  );
  return all.flat();
}
