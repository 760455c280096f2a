import type { Command } from "commander";
import type { DataSource } from "typeorm";
import type { VerdictWord } from "../entities/credit.js";
import { presentException, verdictFields } from "../http/credits/credit.js";
import { inSerializableTransaction } from "../postgres/serializable.js";
import { giveVerdict, VerdictRefusedError } from "../settlement/give-verdict.js";
import { type ExceptionRecord, listExceptions } from "../settlement/read-exceptions.js";
import { creditKeyText, parseCreditKey } from "../stellar/credit.js";
import { formatStroops } from "../stellar/stroops.js";
import { note, operator } from "./arguments.js";
import { withDatabase } from "./open-database.js";
import { EXIT, print, printList } from "./print.js";

const VERDICTS: Readonly<Record<VerdictWord, string>> = {
  accept: "let a late or short credit pay its session",
  refund: "record that the money is owed to its sender",
  dismiss: "record that nothing is to be done",
};

/** The operator's inbox: every merchant's, and that of accounts that are nobody's. */
export function addExceptionsCommand(program: Command): void {
  const command = program
    .command("exceptions")
    .description("money that settled nothing: list it, and decide about it");

  command
    .command("list", { isDefault: true })
    .description("every exception that waits for a verdict, the newest first")
    .option("--all", "those that have one too")
    .option("--json", "one JSON object per line")
    .action(async (options: { all?: boolean; json?: boolean }) => {
      await withDatabase("exceptions", ({ dataSource }) => list(dataSource, options));
    });

  for (const [verdict, description] of Object.entries(VERDICTS) as [VerdictWord, string][]) {
    command
      .command(`${verdict} <key...>`)
      .description(description)
      .requiredOption("--note <text>", "why; kept with the verdict", note("why"))
      .addHelpText(
        "after",
        `\nExample:\n  paidonce exceptions ${verdict} 257698037764097-0 --note "see ticket 7"`,
      )
      .action(async (keys: string[], options: { note: string }) => {
        await withDatabase("exceptions", async ({ dataSource }) => {
          for (const key of keys) {
            if (!(await decide(dataSource, key, verdict, options.note))) process.exitCode = EXIT.failed;
          }
        });
      });
  }
}

async function list(dataSource: DataSource, options: { all?: boolean; json?: boolean }): Promise<void> {
  const filter = options.all ? {} : { open: true };
  await printList(
    (before: ExceptionRecord | null, limit) =>
      listExceptions(dataSource.manager, null, filter, before, limit),
    options.json ? (each) => [asJson(each)] : describe,
    options.json ? null : "no exceptions",
  );
}

/** @returns whether the verdict holds */
async function decide(
  dataSource: DataSource,
  text: string,
  verdict: VerdictWord,
  why: string,
): Promise<boolean> {
  try {
    const key = parseCreditKey(text);
    if (key === null) throw new VerdictRefusedError("unknown", "A key is <operation id>-<index>.");
    const request = { key, verdict, note: why, decidedBy: operator(), merchantId: null };
    await inSerializableTransaction(dataSource, (runner) => giveVerdict(runner, request));
    await print(`${text}: ${verdict}`);
    return true;
  } catch (error) {
    // One that fails keeps no other from being decided.
    const reason = error instanceof Error ? error.message : String(error);
    await print(
      `${text}: ${error instanceof VerdictRefusedError ? reason : `could not be decided (${reason}); it is as it was`}`,
    );
    return false;
  }
}

function describe(exception: ExceptionRecord): string[] {
  const { amount, asset, from, sessionId, verdict } = exception;
  const what = amount === null ? "unreadable" : `${formatStroops(amount)} ${asset} from ${from ?? "nobody"}`;
  const lines = [
    `${creditKeyText(exception)}  ${exception.reason}  ${what}`,
    `    to ${exception.account}${sessionId === null ? "" : ` for session ${sessionId}`}`,
    `    ${exception.detail}`,
  ];
  if (verdict !== null) lines.push(`    ${verdict.verdict} by ${verdict.decidedBy}: ${verdict.note}`);
  return lines;
}

/** As the API shows it, with the verdict's fields beside the others. */
function asJson(exception: ExceptionRecord): string {
  const { verdict, ...shown } = presentException(exception);
  return JSON.stringify({ ...shown, ...verdictFields(verdict) });
}
