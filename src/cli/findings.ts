import { type Command, InvalidArgumentError } from "commander";
import type { DataSource } from "typeorm";
import { readConfig } from "../config.js";
import { closeFinding, type RecordedFinding, readFindings } from "../findings/findings-log.js";
import { EXIT } from "./exit-codes.js";
import { openDatabaseNow } from "./open-database.js";
import { print } from "./print.js";

type ListOptions = { open?: boolean; limit: number; json?: boolean };

export function addFindingsCommand(program: Command): void {
  const findings = program.command("findings").description("what recovery found, and what it did about it");
  findings
    .command("list", { isDefault: true })
    .description("the newest first")
    .option("--open", "only those that wait for a person")
    .option("--limit <number>", "how many", limit, 20)
    .option("--json", "one JSON object per line, with evidence")
    .action(async (options: ListOptions) => {
      await withDatabase(async ({ manager }) => {
        const found = await readFindings(manager, options);
        const lines = found.flatMap((finding) =>
          options.json ? [JSON.stringify(finding)] : describe(finding),
        );
        if (lines.length === 0 && !options.json) lines.push("nothing was found");
        await print(...lines);
      });
    });
  findings
    .command("close")
    .description("say that a finding is dealt with; it opens again if the next run finds the same")
    .argument("<id>", "as `paidonce findings --open` shows it", findingId)
    .requiredOption("--note <text>", "what was done about it", closingNote)
    .action(async (id: string, { note }: { note: string }) => {
      await withDatabase(async ({ manager }) => {
        const closed = await closeFinding(manager, id, note);
        await print(closed ? "closed" : `no finding ${id} is open: \`paidonce findings --open\``);
        if (!closed) process.exitCode = EXIT.failed;
      });
    });
}

async function withDatabase(work: (dataSource: DataSource) => Promise<void>): Promise<void> {
  const config = readConfig(process.env);
  const dataSource = await openDatabaseNow(config, "findings");
  try {
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

function describe({ id, kind, action, detail, foundAt, seenAt, closedAt }: RecordedFinding): string[] {
  const state = closedAt === null ? `OPEN, last seen ${seenAt.toISOString()}` : action.replaceAll("_", " ");
  return [`${foundAt.toISOString()}  ${kind}  ${state}  ${id}`, `   ${detail}`];
}

function limit(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError("It must be a number from 1 to 9999.");
  return Number(text);
}

function findingId(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new InvalidArgumentError("It must be a finding's id, a UUID.");
  }
  return text;
}

/** Kept with the finding, for whoever asks later why it was closed. */
function closingNote(text: string): string {
  const note = text.trim();
  if (note === "") throw new InvalidArgumentError("It must say what was done.");
  return note;
}
