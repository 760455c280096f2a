/**
 * What a failed statement means for the work that it was part of. The one list of Postgres codes
 * (PostgreSQL docs, appendix A) and socket errors in the project.
 *
 * - `conflict`: another transaction was in the way; the same work succeeds when run again at once
 * - `unavailable`: the server can't serve now (down, starting, full, read-only), or can't say what became of the work;
 *   nothing is wrong with the work
 * - `rejected`: the data breaks a constraint or a type; running it again changes nothing
 */
export type DatabaseFault = "conflict" | "unavailable" | "rejected";

/** serialization_failure, deadlock_detected, lock_not_available */
const CONFLICTS = new Set(["40001", "40P01", "55P03"]);

/**
 * By class: 08 connection, 53 resources (disk full, out of memory, too many connections), 57 operator
 * intervention (shutdown, crash, statement timeout), 58 system error (I/O); by code: 25006 read-only,
 * 25P03 idle-in-transaction timeout. 40003 is how a distributed engine answers a COMMIT whose fate it doesn't know: as
 * little proof as a connection that broke, and no conflict, after which nothing would hold. 0A000 and class XX are not
 * here on purpose: what one row causes would hold up all that come after it.
 */
const UNAVAILABLE_CLASSES = new Set(["08", "53", "57", "58"]);
const UNAVAILABLE_CODES = new Set([
  "25006",
  "25P03",
  "40003",
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
]);

/** What `pg` and `pg-pool` throw without any code. */
const UNAVAILABLE_MESSAGES =
  /Connection terminated|Client has encountered a connection error|connection timeout|Query read timeout|timeout exceeded when trying to connect|Client was closed|not queryable|Driver not Connected|QueryRunnerAlreadyReleased/i;

/** SQLSTATE classes of a statement that is refused for its data: 22 data exception, 23 integrity constraint. */
const REJECTED_CLASSES = new Set(["22", "23"]);

/** The database's own error behind whatever wraps it. */
type DriverError = { code?: unknown; constraint?: unknown; message?: unknown };

/** @returns what the error means, or null when it is none of the database's */
export function databaseFault(error: unknown): DatabaseFault | null {
  const { code, message } = driverError(error);
  if (typeof code === "string") {
    if (CONFLICTS.has(code)) return "conflict";
    if (UNAVAILABLE_CODES.has(code) || UNAVAILABLE_CLASSES.has(code.slice(0, 2))) return "unavailable";
    if (REJECTED_CLASSES.has(code.slice(0, 2))) return "rejected";
  }
  return typeof message === "string" && UNAVAILABLE_MESSAGES.test(message) ? "unavailable" : null;
}

/** query_canceled, which statement_timeout gives, and lock_not_available, which lock_timeout does. */
const OUTWAITED = new Set(["57014", "55P03"]);

/**
 * Whether a statement waited for longer than it may. Nearly always for one row that somebody else has locked: the work
 * of the other rows is not to blame, and succeeds without that one.
 */
export function isOutwaited(error: unknown): boolean {
  const state = sqlState(error);
  return state !== null && OUTWAITED.has(state);
}

/**
 * Whether the server as a whole can't serve now. Else one row may be to blame, and the same work goes through without it: a
 * row that is refused, or one that somebody keeps locked.
 */
export function isDatabaseAway(error: unknown): boolean {
  return databaseFault(error) === "unavailable" && !isOutwaited(error);
}

/** @returns the five characters by which Postgres names the error, or null when it is none of the server's */
export function sqlState(error: unknown): string | null {
  const { code } = driverError(error);
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

/** The end of a key's name in a partition: Postgres names the partition's key, never that of the whole table. */
const OF_PARTITION = /_(?:p\d+|default)$/;

/** The name of the constraint that refused the statement, or null. In whichever partition: the whole table's name. */
export function violatedConstraint(error: unknown): string | null {
  const { constraint } = driverError(error);
  return typeof constraint === "string" ? constraint.replace(OF_PARTITION, "") : null;
}

function driverError(error: unknown): DriverError {
  if (typeof error !== "object" || error === null) return {};
  if ("driverError" in error && typeof error.driverError === "object" && error.driverError !== null) {
    return error.driverError;
  }
  if (error instanceof AggregateError && error.errors.length > 0) return driverError(error.errors[0]);
  return error;
}
