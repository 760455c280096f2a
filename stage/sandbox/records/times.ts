/** The last second that four digits of year can write; time bounds may lie far beyond. */
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;

/** Horizon's time format, from Unix seconds. */
export function timeText(seconds: number): string {
  return `${new Date(Math.min(seconds, LAST) * 1000).toISOString().slice(0, 19)}Z`;
}
