/** A clause that changes rows or locks them; `FOR NO KEY UPDATE OF s` and `DO UPDATE SET` are none of the first kind. */
const CHANGES = /\b(INSERT INTO|DELETE FROM|(?<!KEY )(?<!FOR )(?<!DO )UPDATE)\s+(\w+)/g;
const LOCK = /\bFOR (?:NO KEY )?UPDATE(?: OF \w+)?(?: SKIP LOCKED)?/;
const READS = /\b(?:FROM|JOIN)\s+([a-z_]+)\b(?!\s*\()/g;

/** Names of CTEs and of `unnest`: not what a statement reads. */
const NOT_TABLES = new Set([
  "unnest",
  "decided",
  "recorded",
  "fresh",
  "due",
  "unreadable",
  "wanted",
  "named",
]);

/** What a statement does, on one line: its verbs and tables. */
export function describeStatement(sql: string): string {
  const text = sql.replaceAll(/--.*$/gm, "").replaceAll(/\s+/g, " ").trim();
  if (text === "START TRANSACTION") return "BEGIN";
  const changes = [...text.matchAll(CHANGES)].map(([, verb, table]) => `${verb} ${table}`);
  if (changes.length > 0) return [...new Set(changes)].join(", ");
  const tables = [...text.matchAll(READS)].flatMap(([, table]) => table ?? []);
  const read = [...new Set(tables)].filter((table) => !NOT_TABLES.has(table));
  if (!/\bSELECT\b/.test(text) || read.length === 0) return text.slice(0, 80);
  return ["SELECT", read.join(", "), text.match(LOCK)?.[0] ?? ""].join(" ").trim();
}
