import { type Audited, auditAll } from "./audit.js";
import { type Books, readWholeBooks } from "./books.js";
import { comeToRest } from "./come-to-rest.js";
import type { NetworkCredit } from "./ledger.js";
import type { Scene } from "./scene.js";
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
  const credits = await networkCredits(scene);
  const last = new Map(credits.map(({ account, operationId }) => [account as string, operationId]));
  const left = await comeToRest(scene, last, REST_WITHIN_MS);
  await ear.checked();
  const audits = await auditAll(scene);
  const books = await readWholeBooks(dataSource);
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
      ...judge({ ledger, credits, books, heard, lies: ear.lies }),
      ...finding("the system did not come to rest", left),
      ...finding("paidonce audit found differences", differences),
      ...finding(
        "recovery found what can't be",
        impossible.map(({ line }) => line),
      ),
    ],
  };
}

export function finding(check: string, examples: readonly string[]): Finding[] {
  if (examples.length === 0) return [];
  return [{ check, count: examples.length, examples: examples.slice(0, EXAMPLES) }];
}

/** What the network has credited since each watch began. */
async function networkCredits({ sandbox, street }: Scene): Promise<NetworkCredit[]> {
  const all = await Promise.all(
    street.shops.map(async ({ account, start }) =>
      (await sandbox.credits(account)).filter(({ operationId }) => operationId > start),
    ),
  );
  return all.flat();
}
