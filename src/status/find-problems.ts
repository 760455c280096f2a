import type { ConditionName } from "../horizon/condition.js";
import { LEAST } from "../settlement/watch-account.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type Obstacle, remedyFor } from "../stellar/payable.js";
import { NETWORK } from "../stream/stream-keys.js";
import type { Heartbeat } from "./heartbeat.js";
import { awaitingVerdict, duration } from "./in-words.js";
import type {
  AccountStatus,
  Charges,
  History,
  LastRecovery,
  OpenExceptions,
  OutsidePayments,
  Status,
  StatusLimits,
  Unpayable,
} from "./status.js";

/** A consumer that has asked for nothing for this long is gone: its reads wait 2 s at the most. */
const CONSUMER_ALIVE_MS = 15_000;

/** Twelve days: the hourly job keeps three months ready, and has failed for as long. */
const MIN_LEDGERS_READY = 200_000;

/** Two runs of that job. */
const MAX_UNPLACED_SECONDS = 7_200;

/**
 * What needs a person, and what that person can do; most urgent first. Pure.
 *
 * Health is progress, not processes that are up: what stands still is a problem although everything answers.
 */
export function findProblems(status: Omit<Status, "healthy" | "problems">): string[] {
  const { limits } = status;
  if (!status.postgres.reachable) {
    return [
      "Postgres can't be reached: nothing is settled. Check DATABASE_URL and the server; nothing is lost.",
    ];
  }
  const problems: string[] = [];
  if (!status.postgres.migrated)
    problems.push("The database is older than this program: run `paidonce migrate`.");
  if (!status.redis.reachable) {
    problems.push(
      "Redis can't be reached: credits wait at Horizon. Check REDIS_URL and the server; nothing is lost.",
    );
  }
  if (!status.locks.quorum) {
    const effect =
      status.locks.mode === "required" ? "settlement waits" : "the database decides alone (safe, slower)";
    problems.push(
      `${status.locks.answering} of ${status.locks.servers} lock servers answer: ${effect}. Check LOCK_REDIS_URLS.`,
    );
  }
  problems.push(...problemsOfHorizon(status));
  problems.push(...blockedProblems(status.roles));
  const blocked = blockedAccounts(status.roles);
  for (const account of status.accounts) problems.push(...problemsOf(account, limits, blocked));
  const apart = status.network?.set_apart ?? 0;
  if (apart > 0) {
    problems.push(
      `${apart} records of the network's feed name no account that can be read: see "Network mode" in docs/operations.md.`,
    );
  }
  if ((status.outbox_oldest_seconds ?? 0) > limits.unsettled_seconds) {
    problems.push(
      `${status.outbox_unrelayed} events wait in the outbox, the oldest for ${duration(status.outbox_oldest_seconds ?? 0)}: start \`paidonce work\`, or read its log.`,
    );
  }
  problems.push(...unpayableProblems(status.unpayable));
  if (status.charges !== null) problems.push(...problemsOfCharges(status.charges, limits));
  if (status.history !== null) problems.push(...problemsOfHistory(status.history));
  problems.push(...problemsOfRecovery(status.last_recovery, limits));
  if ((status.last_audit?.differences ?? 0) > 0) {
    problems.push(
      `The last audit found ${status.last_audit?.differences} differences: \`paidonce audit\` names each and what to do.`,
    );
  }
  if ((status.unreadable ?? 0) > 0) {
    problems.push(
      `${status.unreadable} unreadable credits wait for a person: \`paidonce dead-letters list\`.`,
    );
  }
  if (status.exceptions !== null) problems.push(...problemsOfExceptions(status.exceptions, limits));
  if (status.outside_payments !== null) problems.push(...problemsOfOutside(status.outside_payments, limits));
  return problems;
}

/** A condition that lasts for less passes by itself. */
const CONDITION_LASTS_SECONDS = 30;

/** What each condition means for payments, and what to do. Nothing is lost by any of them. */
const CONDITION_PROBLEMS: Readonly<Record<Exclude<ConditionName, "ok">, string>> = {
  limited:
    "Horizon's rate limit is reached: payments are seen late. Set HORIZON_REQUESTS_PER_HOUR to what the server allows this address, ask from fewer programs, or use a server of your own",
  page_too_large:
    "A record on Horizon's page is over every bound: its feed stands still. Ask another server (HORIZON_URL), and report the record",
  behind:
    "The Horizon server is behind the network: payments are seen late. It catches up by itself after a restart; else look at that server, or set HORIZON_URL to another",
  away: "The Horizon server gives no answer that can be read: new payments are not seen. Check HORIZON_URL, that server and the way to it",
  paused:
    "The network closes no ledgers: there are no new payments to see. Look at the network's own status; Horizon is well",
};

function* problemsOfHorizon({
  horizon,
  horizon_condition: condition,
  requests,
  limits,
}: Omit<Status, "healthy" | "problems">): Generator<string> {
  const isRefused = requests?.refused ?? false;
  const name =
    condition === null || condition.name === "ok" ? (isRefused ? "limited" : null) : condition.name;
  const lasts = isRefused ? CONDITION_LASTS_SECONDS : (condition?.seconds ?? 0);
  const silentFor = horizon?.newest_age_seconds ?? 0;
  if (name !== null && lasts >= CONDITION_LASTS_SECONDS) {
    const since = condition?.seconds ? ` (for ${duration(condition.seconds)})` : "";
    const detail = condition?.detail ? ` It says: ${condition.detail}` : "";
    yield `${CONDITION_PROBLEMS[name]}; nothing is lost${since}.${detail}`;
  } else if (silentFor > limits.horizon_silent_seconds) {
    yield `The newest ledger that ingest knows closed ${duration(silentFor)} ago: read the log of \`paidonce ingest\`, then restart it; nothing is lost.`;
  }
}

function* problemsOfCharges(charges: Charges, limits: StatusLimits): Generator<string> {
  const { unknown, oldest_unknown_seconds: unknownFor, oldest_due_seconds: dueFor } = charges;
  if (unknownFor !== null && unknownFor > limits.charge_unknown_seconds) {
    const which =
      unknown === 1 ? "charge, and nobody knows whether it was" : "charges, and nobody knows which were";
    yield `${unknown} ${which} made, the oldest for ${duration(unknownFor)}: \`paidonce charges list --status unknown\`; ask the provider, then \`paidonce charges close\`.`;
  }
  if (dueFor !== null && dueFor > limits.unsettled_seconds) {
    yield `A charge has waited ${duration(dueFor)} for a worker: start \`paidonce work\` with its provider configured, or read its log.`;
  }
}

/**
 * Exceptions are everyday work of the merchants, and red only when nobody does it: somebody has paid, and gets neither goods nor
 * money. What could not be read is the operator's own work, and has a line of its own from its first moment on.
 */
function* problemsOfExceptions(exceptions: OpenExceptions, limits: StatusLimits): Generator<string> {
  const { open, oldest_seconds: oldest } = awaitingVerdict(exceptions);
  if (oldest === null || oldest <= limits.exception_open_seconds) return;
  const wait = open === 1 ? "exception waits" : "exceptions wait";
  yield `${open} ${wait} for a verdict, the oldest for ${duration(oldest)}: \`paidonce exceptions list\`, then accept, refund or dismiss each, or ask its merchant to.`;
}

/** As exceptions are: somebody may have paid, and gets neither goods nor money. */
function* problemsOfOutside(
  { open, oldest_seconds: oldest }: OutsidePayments,
  limits: StatusLimits,
): Generator<string> {
  if (oldest === null || oldest <= limits.exception_open_seconds) return;
  yield `${open} ${open === 1 ? "payment" : "payments"} arrived outside /payments and settled nothing, the oldest found ${duration(oldest)} ago: \`paidonce findings --open\` names each; deliver or send it back by hand, then \`paidonce findings close\`.`;
}

/** Nothing is lost by it: the default partition takes what has no other, and grows slow and hard to archive. */
function* problemsOfHistory(history: History): Generator<string> {
  const { ledgers_ready: ready, unplaced, unplaced_oldest_seconds: oldest } = history;
  if (ready < MIN_LEDGERS_READY) {
    yield `Partitions are there for the next ${ready} ledgers only: start \`paidonce work\`, which makes them every hour, or read its log; \`paidonce partitions prepare\` makes them now.`;
  }
  if (oldest !== null && oldest > MAX_UNPLACED_SECONDS) {
    yield `${unplaced} credits lie in the default partition, the oldest for ${duration(oldest)}: \`paidonce partitions prepare\` moves them where they belong.`;
  }
}

function* problemsOfRecovery(last: LastRecovery | null, limits: StatusLimits): Generator<string> {
  // Before its first run nothing was promised: a service without a worker is told of by its outbox.
  if (last === null) return;
  if (last.age_seconds > limits.recovery_silent_seconds) {
    yield `Recovery has not run for ${duration(last.age_seconds)}: start \`paidonce work\`, or read its log.`;
  }
  for (const [check, why] of Object.entries(last.failures)) {
    yield `Recovery could not look at ${check.replaceAll("_", " ")}: ${why}. It tries again by itself.`;
  }
  if (last.needs_person > 0) {
    const waits = last.needs_person === 1 ? "finding of recovery waits" : "findings of recovery wait";
    yield `${last.needs_person} ${waits} for a person: \`paidonce findings --open\`.`;
  }
}

function* problemsOf(
  status: AccountStatus,
  limits: StatusLimits,
  blocked: ReadonlySet<string>,
): Generator<string> {
  const { halted_because: why, stream, lag_ledgers: lag } = status;
  const account = status.account === NETWORK ? "the network's feed" : status.account;
  if (why !== null) yield `Ingest of ${account} is HALTED: ${why}`;
  if (stream === null) return;
  if (stream.leader === null) yield `Nobody leads the ingest of ${account}: start \`paidonce ingest\`.`;
  // Halted or without a leader it falls behind, of course: one line says what to do.
  else if (why === null && lag !== null && lag > limits.cursor_lag_ledgers) {
    yield `Ingest of ${account} is ${lag} ledgers behind Horizon's newest (allowed: ${limits.cursor_lag_ledgers}): read the log of \`${stream.leader}\`, then restart it; nothing is lost.`;
  }
  const isRead = stream.consumers.some((consumer) => consumer.idle_ms < CONSUMER_ALIVE_MS);
  const waited = stream.oldest?.age_seconds ?? 0;
  if (stream.backlog > 0 && !isRead) {
    yield `${stream.backlog} entries of ${account} wait and no consumer is alive: start \`paidonce consume\`.`;
  } else if (waited > limits.unsettled_seconds && !blocked.has(status.account)) {
    yield `A credit of ${account} is unsettled ${duration(waited)} after its ledger closed, with ${stream.backlog} waiting: add \`paidonce consume\` replicas while the backlog shrinks; if it does not, read their log.`;
  }
}

/** Shorter than this a row is locked in every busy service. */
const TOLD_AFTER_SECONDS = 10;

/** Accounts of which a consumer says that their oldest credit waits for a locked row: more consumers would not help. */
function blockedAccounts(roles: readonly Heartbeat[] | null): ReadonlySet<string> {
  return new Set(waiting(roles).flatMap(({ figures }) => figures.blocked_account ?? []));
}

/** What a person can do about credits that wait for a row that somebody has locked, one line for each consumer. */
function blockedProblems(roles: readonly Heartbeat[] | null): string[] {
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

/** A line for each that is named, with what to do. Pure. */
function* unpayableProblems(unpayable: Unpayable | null): Generator<string> {
  if (unpayable === null) return;
  for (const { account, asset, obstacle, since } of unpayable.longest) {
    const payee = { account: account as AccountId, asset: asset as Asset, amount: LEAST };
    yield `Nobody can pay ${account} in ${asset} (since ${since}). ${remedyFor(obstacle as Obstacle, payee)} Nothing is lost: the checkout page asks nobody to pay meanwhile.`;
  }
  const more = unpayable.count - unpayable.longest.length;
  if (more > 0) yield `${more} more accounts and assets can't be paid.`;
}
