import { duration } from "./duration.js";
import type { Heartbeat } from "./heartbeat.js";

/** Shorter than this a row is locked in every busy service. */
const TOLD_AFTER_SECONDS = 10;

/** Accounts of which a consumer says that their oldest credit waits for a locked row: more consumers would not help. */
export function blockedAccounts(roles: readonly Heartbeat[] | null): ReadonlySet<string> {
  return new Set(waiting(roles).flatMap(({ figures }) => figures.blocked_account ?? []));
}

/** What a person can do about credits that wait for a row that somebody has locked, one line for each consumer. */
export function blockedProblems(roles: readonly Heartbeat[] | null): string[] {
  return waiting(roles).map(({ figures }) => {
    const { blocked, blocked_seconds, blocked_account, blocked_session, blocked_by } = figures;
    const credits = blocked === "1" ? "A credit waits" : `${blocked} credits wait`;
    const row = blocked_session ? `session ${blocked_session}` : "what it needs";
    const holder = blocked_by
      ? `Postgres ${blocked_by}: end that transaction, or SELECT pg_terminate_backend(pid)`
      : "a transaction that was not found: look at pg_locks";
    return `${credits} for a row that somebody keeps locked, of ${blocked_account}, for ${duration(Number(blocked_seconds))}. The row of ${row} is held by ${holder}. All others go on.`;
  });
}

function waiting(roles: readonly Heartbeat[] | null): Heartbeat[] {
  return (roles ?? []).filter(
    ({ alive, figures }) => alive && Number(figures.blocked_seconds ?? 0) >= TOLD_AFTER_SECONDS,
  );
}
