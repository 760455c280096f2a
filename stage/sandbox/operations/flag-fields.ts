import type { JsonObject } from "../json.js";

export type NamedFlags = readonly (readonly [flag: number, name: string])[];

/** `set_flags` and `set_flags_s`, or the same of `clear`, as Horizon writes them; nothing where there are none. */
export function flagFields(prefix: "set" | "clear", flags: number, names: NamedFlags): JsonObject {
  const named = names.filter(([flag]) => (flags & flag) !== 0);
  if (named.length === 0) return {};
  return {
    [`${prefix}_flags`]: named.map(([flag]) => flag),
    [`${prefix}_flags_s`]: named.map(([, name]) => name),
  };
}

/** What an effect says of a flag: true where it was set, false where it was cleared, nothing where it was left alone. */
export function flagChange(field: string, flag: number, set: number, clear: number): JsonObject {
  if ((set & flag) !== 0) return { [field]: true };
  return (clear & flag) !== 0 ? { [field]: false } : {};
}
