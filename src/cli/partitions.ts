import { type Command, InvalidArgumentError } from "commander";
import type { DataSource } from "typeorm";
import { type Detached, detachPartitions } from "../history/detach-partitions.js";
import { describePartitions, HISTORY_TABLES, type PartitionFacts } from "../history/partitions.js";
import { type Before, DetachRefusedError, findObstacles, planDetach } from "../history/plan-detach.js";
import { preparePartitions } from "../history/prepare-partitions.js";
import { type LedgerSequence, ledgerOf } from "../stellar/operation-id.js";
import { withDatabase } from "./open-database.js";
import { EXIT, print, printError } from "./print.js";

/** A large default is moved, and a year of exceptions looked through, in one statement each. */
const STATEMENT_MS = 3_600_000;

type DetachCommand = { before: Before; yes?: boolean; withoutAudit?: boolean };

export function addPartitionsCommand(program: Command): void {
  const command = program
    .command("partitions")
    .description("the history by the month: list it, and take old months out");
  command
    .command("list", { isDefault: true })
    .description("every partition with its ledgers, times and size; credits as Postgres estimates them")
    .option("--json", "one JSON object per line")
    .action(async ({ json = false }: { json?: boolean }) => {
      await onHistory(async ({ manager }) => {
        const found = await describePartitions(manager);
        await print(...(json ? found.map((one) => JSON.stringify(one)) : table(found)));
      });
    });
  command
    .command("prepare")
    .description("make the next months' partitions now, as `paidonce work` does every hour")
    .action(async () => {
      await onHistory(async (dataSource) => {
        const { created, moved } = await preparePartitions(dataSource);
        await print(`${created} partitions made, ${moved} credits moved out of the default`);
      });
    });
  command
    .command("detach")
    .description("take partitions that lie wholly before a ledger or a time out of the books, for archive")
    .requiredOption("--before <ledger|time>", "a ledger's number, or a time such as 2027-01-01", before)
    .option("--yes", "do it; without this it is only said what would be done")
    .option("--without-audit", "also what no audit has found to be equal to the network")
    .addHelpText("after", "\nExample:\n  paidonce partitions detach --before 2027-01-01 --yes")
    .action(async (options: DetachCommand) => {
      await onHistory((dataSource) => detach(dataSource, options));
    });
}

async function detach(dataSource: DataSource, { before, yes, withoutAudit }: DetachCommand): Promise<void> {
  const options = { unaudited: withoutAudit ?? false };
  try {
    if (yes) {
      await print(...describeDetached(await detachPartitions(dataSource, before, options)));
      return;
    }
    const plan = await planDetach(dataSource.manager, before);
    const names = plan.partitions.map(({ name }) => name).join(", ");
    await print(`would detach ${names}: everything up to ledger ${ledgerOf(plan.end) - 1}`);
    const reasons = await findObstacles(dataSource.manager, plan, options);
    if (reasons.length > 0) throw new DetachRefusedError(reasons);
    await print("nothing stands against it; --yes does it. Settlement waits for it, milliseconds");
  } catch (error) {
    if (!(error instanceof DetachRefusedError)) throw error;
    await printError(...error.reasons.map((reason) => `! ${reason}`));
    process.exitCode = EXIT.failed;
  }
}

function describeDetached({ partitions, counts, end }: Detached): string[] {
  const lines = partitions.map(({ name }, i) => {
    const { credits = 0, payments = 0, exceptions = 0, verdicts = 0 } = counts[i] ?? {};
    return `${name}: ${credits} credits, ${payments} payments, ${exceptions} exceptions, ${verdicts} verdicts are in the schema archive now`;
  });
  const drops = partitions.flatMap(({ name }) => HISTORY_TABLES.map((one) => `archive.${one}_${name}`));
  return [
    ...lines,
    `the books begin with ledger ${ledgerOf(end)}`,
    'keep a copy:      pg_dump --schema=archive --format=custom --file=archive.dump "$DATABASE_URL"',
    `and free the disk: psql "$DATABASE_URL" -c 'DROP TABLE ${drops.join(", ")}'`,
  ];
}

async function onHistory(work: (dataSource: DataSource) => Promise<void>): Promise<void> {
  const options = { statementTimeoutMs: STATEMENT_MS };
  await withDatabase("partitions", ({ dataSource }) => work(dataSource), options);
}

function table(found: readonly PartitionFacts[]): string[] {
  const rows = found.map((one) => [
    one.name,
    one.name === "default" ? "no partition yet" : `${one.from_ledger ?? 0} to ${one.to_ledger ?? "the end"}`,
    one.first_closed_at === null
      ? "-"
      : `${one.first_closed_at.slice(0, 10)} to ${one.last_closed_at?.slice(0, 10)}`,
    one.credits === null ? "?" : `${one.credits}`,
    `${(one.bytes / 2 ** 20).toFixed(1)} MiB`,
  ]);
  const all = [["name", "ledgers", "closed", "credits", "size"], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function before(text: string): Before {
  if (/^[1-9]\d{0,9}$/.test(text)) return { ledger: Number(text) as LedgerSequence };
  const time = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(time.getTime())) {
    throw new InvalidArgumentError("It must be a ledger's number, or a time such as 2027-01-01.");
  }
  return { time };
}
