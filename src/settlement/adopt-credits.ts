import type { QueryRunner } from "typeorm";
import type { Charge, ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import type { ExceptionReason, VerdictWord } from "../entities/credit.js";
import type { AccountId, TransactionHash } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { referenceOf, referenceOfKey } from "../stellar/reference.js";
import { endCharge } from "./end-charge.js";

/** A charge whose transaction applied before it was handed in. */
export type PaidBefore = Pick<Charge, "amount" | "asset" | "memoKey"> & {
  readonly id: ChargeId;
  readonly account: AccountId;
  readonly hash: TransactionHash;
  readonly outerHash: TransactionHash | null;
};

/** What became of the credits that its transaction brought. */
export type Adoption =
  /** They are its payments, and it has succeeded. */
  | { readonly kind: "adopted" }
  /** None of them is in the books of its account: settlement finds the charge when they come. */
  | { readonly kind: "none_yet" }
  /** Some are, and the others are on their way. */
  | { readonly kind: "part"; readonly exceptions: readonly string[] }
  /** They have paid something else, or somebody has decided about them, or they can't be read. */
  | { readonly kind: "taken"; readonly exceptions: readonly string[]; readonly sessionId: SessionId | null };

/**
 * A settlement or a decision about one of these writes what this reads, or reads what this writes: Postgres lets only one
 * of the two commit, and the other one runs again.
 */
const BROUGHT = `
  SELECT c.operation_id::text AS operation_id, c.move_index, c.asset, c.amount, c.muxed_key, c.memo_key,
         x.reason, v.verdict, p.session_id
  FROM credits c
  LEFT JOIN payment_exceptions x USING (operation_id, move_index)
  LEFT JOIN exception_verdicts v USING (operation_id, move_index)
  LEFT JOIN payments p USING (operation_id, move_index)
  WHERE (c.transaction_hash = ANY ($1::text[]) OR c.inner_hash = ANY ($1::text[])) AND c.account = $2
  ORDER BY c.operation_id, c.move_index`;

/** In this order: a credit may not be a payment while an exception refers to it. */
const WITHDRAW = `
  DELETE FROM payment_exceptions x USING unnest($1::bigint[], $2::integer[]) AS mine (operation_id, move_index)
  WHERE x.operation_id = mine.operation_id AND x.move_index = mine.move_index`;
const CHANGE_OUTCOME = `
  UPDATE credits c SET outcome = 'payment' FROM unnest($1::bigint[], $2::integer[]) AS mine (operation_id, move_index)
  WHERE c.operation_id = mine.operation_id AND c.move_index = mine.move_index`;
const PAY = `
  INSERT INTO payments (operation_id, move_index, charge_id, surplus)
  SELECT mine.operation_id, mine.move_index, $3, 0
  FROM unnest($1::bigint[], $2::integer[]) AS mine (operation_id, move_index)`;

const HEARD = { from: "its credits were in the books when it was handed in" };

/**
 * Makes what a transaction brought the payments of the charge whose memo it carries, inside the serializable transaction
 * that accepts the charge and has stored the transaction. A transaction that stands on the network proves nothing about
 * who hands it in: without the charge's memo it stays with its exceptions. Whoever signs and sends by themselves, and hands
 * in the envelope after that, has paid: told to sign another one, they would pay twice. Each credit has exactly one
 * place all the time (G1), and the charge ends in the same transaction (G6).
 * @throws the database's error
 */
export async function adoptCredits(runner: QueryRunner, charge: PaidBefore): Promise<Adoption> {
  const hashes = [charge.hash, charge.outerHash].filter((hash) => hash !== null);
  const brought: BroughtRow[] = await runner.query(BROUGHT, [hashes, charge.account]);
  if (brought.length === 0) return { kind: "none_yet" };
  const exceptions = brought.filter(({ reason }) => reason !== null).map(keyOf);
  if (!brought.every((credit) => isOpen(credit, charge))) {
    const sessionId = brought.find((credit) => credit.session_id !== null)?.session_id ?? null;
    return { kind: "taken", exceptions, sessionId };
  }
  const sum = brought.reduce((total, { amount }) => total + BigInt(amount ?? 0), 0n);
  if (sum !== charge.amount) return { kind: "part", exceptions };
  const keys = [brought.map((credit) => credit.operation_id), brought.map((credit) => credit.move_index)];
  await runner.query(WITHDRAW, keys);
  await runner.query(CHANGE_OUTCOME, keys);
  await runner.query(PAY, [...keys, charge.id]);
  const ended = await endCharge(runner, charge.id, { kind: "succeeded", providerId: charge.hash }, HEARD);
  if (ended !== "ended") throw new Error(`charge ${charge.id} is new and paid, and can't succeed: ${ended}`);
  return { kind: "adopted" };
}

/** Whether a credit names this charge and nobody has decided about it. */
function isOpen({ reason, verdict, asset, muxed_key, memo_key }: BroughtRow, charge: PaidBefore): boolean {
  const names = referenceOf({ muxed: muxed_key, memo: memo_key });
  const isNamed = charge.memoKey !== null && names === referenceOfKey(charge.memoKey);
  return isNamed && reason === "unmatched" && verdict === null && asset === charge.asset;
}

function keyOf({ operation_id, move_index }: BroughtRow): string {
  return `${operation_id}-${move_index}`;
}

type BroughtRow = {
  operation_id: string;
  move_index: number;
  /** Null where the credit could not be read, like `amount`. */
  asset: string | null;
  amount: string | null;
  muxed_key: MemoKey | null;
  memo_key: MemoKey | null;
  /** Null of a payment, and of a credit that was accepted. */
  reason: ExceptionReason | null;
  verdict: VerdictWord | null;
  session_id: SessionId | null;
};
