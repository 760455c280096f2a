import type { EntityManager } from "typeorm";
import type { SessionId, SessionStatus } from "../entities/checkout-session.js";
import { runPrepared } from "../entities/prepared.js";
import { type Asset, parseAsset } from "../stellar/asset.js";
import type { AccountId, Credit, Movement } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { toStroops } from "../stellar/stroops.js";
import type { DecidableSession } from "./decide.js";

/** The sessions that a batch of credits names, by account and memo. */
export class NamedSessions {
  readonly #byReference = new Map<string, DecidableSession>();

  constructor(rows: Iterable<DecidableSession & { readonly memoKey: MemoKey }>) {
    for (const row of rows) this.#byReference.set(reference(row.account, row.memoKey), row);
  }

  /**
   * The session that a credit is for. The muxed id goes first: it belongs to the operation, while the memo
   * is shared by all operations of the transaction, so that one transaction can pay two sessions.
   */
  of(credit: Credit): DecidableSession | null {
    for (const key of memoKeys(credit)) {
      const session = this.#byReference.get(reference(credit.account, key));
      if (session !== undefined) return session;
    }
    return null;
  }

  ids(): SessionId[] {
    return [...this.#byReference.values()].map((session) => session.id);
  }
}

const COLUMNS = "s.id, s.account, s.memo_key, s.asset, s.amount, s.status, s.expires_at, s.grace_seconds";

/**
 * By the index, one reference after the other: a join of the whole list is planned as a scan of all sessions until there
 * are very many of them. That costs more than the rest of the settlement, and every change of any session would conflict
 * with it.
 */
const SELECT_NAMED = `
  SELECT s.*
  FROM unnest($1::text[], $2::text[]) AS named (account, memo_key)
  CROSS JOIN LATERAL (
    SELECT ${COLUMNS} FROM checkout_sessions s
    WHERE s.account = named.account AND s.memo_key = named.memo_key OFFSET 0) AS s`;

const FIND_NAMED = { name: "find_named_sessions", text: SELECT_NAMED };

/**
 * In id order, so that two replicas with the same sessions wait for each other instead of deadlocking.
 * NO KEY: the inserts that refer to a session must not wait for one that only changes its status.
 */
const LOCK_NAMED = {
  name: "lock_named_sessions",
  text: `
  WITH named AS MATERIALIZED (${SELECT_NAMED} ORDER BY s.id)
  SELECT locked.*
  FROM named
  CROSS JOIN LATERAL (
    SELECT ${COLUMNS} FROM checkout_sessions s WHERE s.id = named.id FOR NO KEY UPDATE OF s) AS locked`,
};

/**
 * Finds the sessions that `movements` name, in one query.
 * @param lock inside a transaction: lock the rows until it ends
 */
export async function findSessions(
  manager: EntityManager,
  movements: readonly Movement[],
  { lock }: { lock: boolean },
): Promise<NamedSessions> {
  const wanted = new Map<string, { account: AccountId; key: MemoKey }>();
  for (const movement of movements) {
    if (movement.kind !== "credit") continue;
    for (const key of memoKeys(movement)) {
      wanted.set(reference(movement.account, key), { account: movement.account, key });
    }
  }
  if (wanted.size === 0) return new NamedSessions([]);
  const rows = await runPrepared<SessionRow>(manager, lock ? LOCK_NAMED : FIND_NAMED, [
    [...wanted.values()].map((reference) => reference.account),
    [...wanted.values()].map((reference) => reference.key),
  ]);
  return new NamedSessions(rows.map(sessionOfRow));
}

/** A session as `decide` needs it, in columns. */
export type SessionRow = {
  id: SessionId;
  account: AccountId;
  memo_key: MemoKey;
  asset: string;
  amount: string;
  status: SessionStatus;
  expires_at: Date;
  grace_seconds: number;
};

export function sessionOfRow(row: SessionRow): DecidableSession & { readonly memoKey: MemoKey } {
  const asset: Asset = parseAsset(row.asset);
  return {
    id: row.id,
    account: row.account,
    memoKey: row.memo_key,
    asset,
    amount: toStroops(BigInt(row.amount)),
    status: row.status,
    expiresAt: row.expires_at,
    graceSeconds: row.grace_seconds,
  };
}

function memoKeys(credit: Credit): MemoKey[] {
  return [credit.muxed, credit.memo].filter((key) => key !== null);
}

function reference(account: AccountId, key: MemoKey): string {
  return `${account} ${key}`;
}
