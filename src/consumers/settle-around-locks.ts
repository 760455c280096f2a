import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import type { SessionId } from "../entities/checkout-session.js";
import { isOutwaited } from "../postgres/database-errors.js";
import { nameSessions } from "../settlement/find-sessions.js";
import type { StreamEntry } from "../stream/entry.js";
import { type SettledBatch, type SettlingParts, settleBatch } from "./settle-batch.js";

export type SettledAround = SettledBatch & {
  /** They wait for a row that somebody keeps locked: nothing else may wait for them. */
  readonly blocked: StreamEntry[];
};

/**
 * Tries of one batch that may end by waiting for too long, each as long as a statement may take. A lock on a whole table
 * holds up every half too: then it is an outage, and not one row.
 */
const OUTWAITED_TRIES = 12;

/**
 * Settles a batch although somebody may have a row of it locked, and leaves it so: the batch runs into its time-out once,
 * and then goes on without what is locked. What can't be found so is found by halving, like a credit that is refused.
 *
 * @throws as `settleBatch`; also where nearly every part of the batch waits for too long
 */
export async function settleAroundLocks(
  parts: SettlingParts,
  entries: readonly StreamEntry[],
): Promise<SettledAround> {
  const result: SettledAround = { settlements: [], setAside: [], blocked: [] };
  const left: (readonly StreamEntry[])[] = [entries];
  let outwaited = 0;
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    try {
      const { settlements, setAside } = await settleBatch(parts, part);
      result.settlements.push(...settlements);
      result.setAside.push(...setAside);
    } catch (error) {
      if (!isOutwaited(error) || ++outwaited > OUTWAITED_TRIES) throw error;
      const blocked = await findBlocked(parts.dataSource, part);
      result.blocked.push(...blocked.keys());
      const others = part.filter((entry) => !blocked.has(entry));
      if (others.length === 0) continue;
      if (blocked.size > 0) left.push(others);
      else if (others.length === 1) result.blocked.push(...others);
      else left.push(others.slice(0, others.length >> 1), others.slice(others.length >> 1));
    }
  }
  return result;
}

/** Takes what is free and lets go of it at once: what is left out is locked by somebody. */
const FREE = "SELECT id FROM checkout_sessions WHERE id = ANY ($1::uuid[]) FOR NO KEY UPDATE SKIP LOCKED";

/**
 * Finds the entries whose session somebody has locked at this moment, and for how long is not known.
 * @returns each with its session's id
 */
export async function findBlocked(
  dataSource: DataSource,
  entries: readonly StreamEntry[],
): Promise<Map<StreamEntry, SessionId>> {
  const sessions = await nameSessions(
    dataSource.manager,
    entries.map(({ movement }) => movement),
  );
  if (sessions.ids().length === 0) return new Map();
  const free = await dataSource.transaction("READ COMMITTED", async (manager) => {
    const rows: { id: SessionId }[] = await manager.query(FREE, [sessions.ids()]);
    return new Set(rows.map(({ id }) => id));
  });
  return new Map(
    entries.flatMap((entry) => {
      const session = entry.movement.kind === "credit" ? sessions.of(entry.movement) : null;
      return session === null || free.has(session.id) ? [] : [[entry, session.id] as const];
    }),
  );
}

/** Looks within one wait for a lock. */
const LOOKS = 10;
const LOOK_EVERY_MS = 50;

const WAIT = "SELECT FROM checkout_sessions WHERE id = $1 FOR NO KEY UPDATE";

/** Postgres does not say which process holds a row. It says which process another one waits for. */
const BLOCKERS = `
  SELECT a.pid, a.application_name AS name, a.state, round(extract(epoch FROM now() - a.xact_start))::integer AS seconds
  FROM unnest(pg_blocking_pids($1)) AS b (pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid LIMIT 5`;

type Blocker = { pid: number | null; name: string | null; state: string | null; seconds: number | null };

/**
 * Finds out who holds a session's row, by waiting for it for half a second.
 * @returns in words, for the status; null where nobody holds it any more
 */
export async function nameBlocker(dataSource: DataSource, session: SessionId): Promise<string | null> {
  const waiter = dataSource.createQueryRunner();
  const over = new AbortController();
  try {
    await waiter.startTransaction("READ COMMITTED");
    const [{ pid }]: [{ pid: number }] = await waiter.query("SELECT pg_backend_pid() AS pid");
    await waiter.query(`SET LOCAL lock_timeout = ${LOOKS * LOOK_EVERY_MS}`);
    const waiting = waiter
      .query(WAIT, [session])
      .catch(() => undefined)
      .finally(() => over.abort());
    let blockers: Blocker[] = [];
    for (let i = 0; i < LOOKS && blockers.length === 0 && !over.signal.aborted; i++) {
      await sleep(LOOK_EVERY_MS / 2, over.signal);
      blockers = await dataSource.query<Blocker[]>(BLOCKERS, [pid]);
    }
    await waiting;
    const known = blockers.filter((blocker) => blocker.pid !== null);
    return known.length === 0 ? null : known.map(describe).join(", ");
  } finally {
    if (waiter.isTransactionActive) await waiter.rollbackTransaction().catch(() => undefined);
    await waiter.release().catch(() => undefined);
  }
}

function describe({ pid, name, state, seconds }: Blocker): string {
  const facts = [name || "no name", state, seconds === null ? null : `its transaction is ${seconds} s old`];
  return `pid ${pid} (${facts.filter((fact) => fact !== null).join(", ")})`;
}
