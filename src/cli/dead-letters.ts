import type { Command } from "commander";
import type { DataSource } from "typeorm";
import { removeDeadLetter } from "../consumers/dead-letters.js";
import type { HorizonClient } from "../horizon/client.js";
import { readOperation } from "../horizon/read-page.js";
import { createLogger } from "../logging.js";
import { connectRedis, type RedisClient } from "../redis/client.js";
import type { Outcome } from "../settlement/decide.js";
import { listUnreadable, type UnreadableCredit } from "../settlement/read-exceptions.js";
import type { RecordedOutcome } from "../settlement/read-recorded.js";
import { settle } from "../settlement/settle.js";
import { creditKeyText } from "../stellar/credit.js";
import { type Opened, withDatabase } from "./open-database.js";
import { openHorizon, redisTarget } from "./open-servers.js";
import { EXIT, print } from "./print.js";

export function addDeadLettersCommand(program: Command): void {
  const command = program
    .command("dead-letters")
    .description("credits that nobody could read or settle: list them, and settle them again from Horizon");

  command
    .command("list", { isDefault: true })
    .description("every unreadable credit, with why")
    .option("--json", "one JSON object per line")
    .action(async (options: { json?: boolean }) => {
      await withDatabase("dead-letters", async ({ dataSource }) => {
        const letters = await listUnreadable(dataSource.manager);
        if (letters.length === 0 && !options.json) await print("no dead letters");
        for (const letter of letters) {
          if (!(await print(...(options.json ? [asJson(letter)] : describe(letter))))) break;
        }
      });
    });

  command
    .command("replay <key...>")
    .description("ask Horizon for the operation again and settle what it says; `all` for every one")
    .addHelpText("after", "\nExample:\n  paidonce dead-letters replay 257698037764097-0")
    .action(async (keys: string[]) => {
      await withDatabase("dead-letters", async (opened) => {
        process.exitCode = (await replay(keys, opened)) ? EXIT.ok : EXIT.failed;
      });
    });
}

/** @returns whether every one of them could be read this time */
async function replay(keys: readonly string[], { config, dataSource, closing }: Opened): Promise<boolean> {
  const logger = createLogger({ ...config, LOG_LEVEL: "error" }, "dead-letters");
  const redis = connectRedis(redisTarget(config), "paidonce-dead-letters", logger);
  closing.defer(() => redis.disconnect());
  const horizon = openHorizon(config, logger, { redis, purpose: "check" });
  const letters = await listUnreadable(dataSource.manager);
  const chosen = keys.includes("all") ? letters : letters.filter(({ key }) => keys.includes(key));
  const unknown = keys.filter((key) => key !== "all" && !letters.some((letter) => letter.key === key));
  for (const key of unknown) await print(`${key}: no dead letter has this key`);
  let isComplete = unknown.length === 0;
  for (const letter of chosen) {
    // One that fails keeps no other from being replayed.
    const isRead = await replayOne({ dataSource, redis, horizon }, letter).catch(async (error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      await print(`${letter.key}: could not be replayed (${why}); left as it is`);
      return false;
    });
    isComplete &&= isRead;
  }
  return isComplete;
}

type Sources = {
  readonly dataSource: DataSource;
  readonly redis: RedisClient;
  readonly horizon: HorizonClient;
};

/** @returns whether it could be read this time */
async function replayOne(
  { dataSource, redis, horizon }: Sources,
  letter: UnreadableCredit,
): Promise<boolean> {
  const signal = AbortSignal.timeout(30_000);
  const movements = await readOperation(horizon, letter.account, letter.operationId, signal);
  if (movements === null) {
    await print(`${letter.key}: Horizon does not know this operation; left as it is`);
    return false;
  }
  let isRead = true;
  for (const settlement of await settle(dataSource, movements, { replay: true })) {
    const outcome = settlement.kind === "recorded" ? settlement.outcome : settlement.recorded;
    await print(`${creditKeyText(settlement.movement)}: ${describeOutcome(outcome)}`);
    if (outcome.kind === "exception" && outcome.reason === "unreadable") isRead = false;
    else await removeDeadLetter(redis, letter.account, letter.key);
  }
  return isRead;
}

function describeOutcome(outcome: Outcome | RecordedOutcome): string {
  switch (outcome.kind) {
    case "payment":
      return `paid session ${outcome.sessionId}`;
    case "charge_payment":
      return `paid charge ${outcome.chargeId}`;
    case "exception":
      return outcome.reason;
    case "archived":
      return "accounted for before, and archived";
  }
}

function describe(letter: UnreadableCredit): string[] {
  return [`${letter.key}  ${letter.account}  ${letter.raisedAt.toISOString()}`, `    ${letter.why}`];
}

/** Named as in `status --json`; an operation id passes 2^53, so it is text. */
function asJson({ key, account, operationId, why, raisedAt }: UnreadableCredit): string {
  return JSON.stringify({ key, account, operation_id: operationId.toString(), why, raised_at: raisedAt });
}
