/** An id's time is by the clock of the process that made it, `created_at` by the database's. */
const SKEW_MS = 86_400_000;

/**
 * An id that is surely before, or after, all that were made at a time: ids begin with their time (UUIDv7), so that a
 * range of times is a range of the index.
 */
export function idAround(time: Date | undefined, side: "before" | "after"): string | null {
  if (time === undefined) return null;
  const skewMs = side === "before" ? -SKEW_MS : SKEW_MS;
  const ms = Math.min(Math.max(time.getTime() + skewMs, 0), 2 ** 48 - 1);
  const hex = ms.toString(16).padStart(12, "0") + (side === "before" ? "0" : "f").repeat(20);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
