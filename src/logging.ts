import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import type { Config } from "./config.js";

/** Keys whose values are secrets wherever they turn up in a logged object. */
const SECRETS = [
  "password",
  "secret",
  "authorization",
  "*.password",
  "*.secret",
  "*.authorization",
  "err.config",
];

/** The logger of one process. bigints are written as decimal text: JSON has no integer that holds them. */
export function createLogger(config: Pick<Config, "LOG_LEVEL" | "LOG_FORMAT">, role: string): Logger {
  const isPretty = config.LOG_FORMAT === "pretty" || (config.LOG_FORMAT === "auto" && process.stdout.isTTY);
  return pino(
    {
      level: config.LOG_LEVEL,
      base: { role, pid: process.pid },
      redact: { paths: SECRETS, censor: "(hidden)" },
      formatters: { log: withTextBigints },
    },
    isPretty ? prettyStream() : pino.destination({ fd: 1, sync: true }),
  );
}

function prettyStream(): DestinationStream {
  return pretty({
    colorize: process.stdout.isTTY || process.env.FORCE_COLOR === "1",
    translateTime: "HH:MM:ss",
    // On a terminal the message says it in words; the JSON lines have every field.
    ignore: "pid,hostname,role,consumer,account,tx,operation,session,outcome,surplus,detail",
    messageFormat: "{role}: {msg}",
    singleLine: true,
    // Written at once, so that the last line before a crash is seen.
    sync: true,
  });
}

function withTextBigints(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [key, typeof value === "bigint" ? value.toString() : value]),
  );
}
