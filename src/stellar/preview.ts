/**
 * A value for an error message: short, on one line, whatever it is. JSON.stringify alone throws on a bigint or a
 * cycle, and would turn "this field is bad" into a crash.
 */
export function preview(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  return value === null || typeof value === "number" || typeof value === "boolean"
    ? `${value}`
    : typeof value;
}
