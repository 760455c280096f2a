import type { Json } from "./api.js";

/** What a newer version may answer: the same with a field in each object that nobody has heard of. */
export function withUnknownField(value: Json): Json {
  if (Array.isArray(value)) return value.map(withUnknownField);
  if (typeof value !== "object" || value === null) return value;
  const inside = Object.entries(value).map(([name, field]) => [
    name,
    // Of this the keys are the merchant's, and their values all of one kind.
    name === "metadata" ? field : withUnknownField(field),
  ]);
  return { ...Object.fromEntries(inside), added_since: { by: "a newer version" } };
}
