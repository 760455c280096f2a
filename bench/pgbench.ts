import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { checkRows } from "./check-rows.js";
import type { Servers } from "./servers.js";
import { openWorkload } from "./workload.js";

const run = promisify(execFile);

const SCRIPT = fileURLToPath(new URL("../../bench/sql/payment.sql", import.meta.url));

/** What a session's event comes to; the service builds it, pgbench sends it as it is. */
const BODY = JSON.stringify({ type: "payment.confirmed", data: "x".repeat(520) });

export const PGBENCH = process.env.PGBENCH || "pgbench";

export async function hasPgbench(): Promise<boolean> {
  return run(PGBENCH, ["--version"]).then(
    () => true,
    () => false,
  );
}

/**
 * One serializable transaction per payment on our own schema, by Postgres' own load generator, with nothing else around
 * it: prepared statements, no queue, no lock service, no decoding.
 * @returns transactions per second, without the time to connect
 * @throws Error where pgbench fails, or the rows are wrong
 */
export async function measurePgbench(
  servers: Servers,
  { payments, connections }: { payments: number; connections: number },
): Promise<number> {
  await using database = await servers.database();
  const each = Math.floor(payments / connections);
  const { accounts, credits } = await openWorkload(database.dataSource, { payments: each * connections });
  // Into the text, as constants: prepared once, they are not even sent again.
  const texts = { account: accounts[0] ?? "", record: credits[0]?.record ?? "", body: BODY };
  const folder = await mkdtemp(join(tmpdir(), "paidonce-pgbench-"));
  try {
    const script = join(folder, "payment.sql");
    await writeFile(script, withConstants(await readFile(SCRIPT, "utf8"), texts));
    const { stdout } = await run(PGBENCH, [
      ...["--no-vacuum", "--protocol=prepared", `--file=${script}`, "--max-tries=100"],
      // `n` is each client's own count of its transactions.
      ...["-D", "n=0", "-D", `clients=${connections}`],
      ...[
        "-c",
        String(connections),
        "-j",
        String(Math.min(2, connections)),
        "-t",
        String(each),
        database.url,
      ],
    ]);
    const [, tps] = /tps = ([\d.]+) \(without initial/.exec(stdout) ?? [];
    if (tps === undefined) throw new Error(`pgbench says something else:\n${stdout}`);
    await checkRows(database.dataSource, { credits: credits.length, payments: credits.length }, "pgbench");
    return Number(tps);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function withConstants(sql: string, texts: Readonly<Record<string, string>>): string {
  return sql.replaceAll(/:(account|record|body)\b/g, (_, name: string) => `'${readable(texts[name])}'`);
}

/** pgbench takes `:true` for a variable of its own, in quotes too. */
function readable(json = ""): string {
  return json.replaceAll(/":(?=\w)/g, '": ');
}
