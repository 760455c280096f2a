import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";
import pretty from "pino-pretty";
import type { Config } from "./config.js";
import { visibleText } from "./visible-text.js";

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

/**
 * The logger of one process. bigints are written as decimal text: JSON has no integer that holds them.
 * @param destination standard output by default
 */
export function createLogger(
  config: Pick<Config, "LOG_LEVEL" | "LOG_FORMAT">,
  role: string,
  destination?: DestinationStream,
): Logger {
  const isPretty = config.LOG_FORMAT === "pretty" || (config.LOG_FORMAT === "auto" && process.stdout.isTTY);
  return pino(
    {
      level: config.LOG_LEVEL,
      base: { role, pid: process.pid },
      redact: { paths: SECRETS, censor: "(hidden)" },
      serializers: { err: withoutValues },
      formatters: { log: withTextBigints },
      hooks: { streamWrite: isPretty ? (line) => withTextEscapes(withVisible(line)) : withVisible },
    },
    destination ?? (isPretty ? prettyStream() : pino.destination({ fd: 1, sync: true })),
  );
}

function prettyStream(): DestinationStream {
  return pretty({
    colorize: process.stdout.isTTY || process.env.FORCE_COLOR === "1",
    translateTime: "HH:MM:ss",
    // On a terminal the message says it in words; the JSON lines have every field.
    ignore: "pid,hostname,role,consumer,account,tx,operation,session,outcome,surplus,detail",
    messageFormat: (log, key) => `${log.role}: ${visibleText(String(log[key]))}`,
    singleLine: true,
    // Written at once, so that the last line before a crash is seen.
    sync: true,
  });
}

/** What TypeORM and pg put into an error beside its message: the values of the statement that failed. */
const VALUES: ReadonlySet<string> = new Set(["parameters", "driverError", "detail", "where"]);

/**
 * An error without the values of its statement. They hold what customers signed and what merchants sent: whoever reads a
 * signed transaction in a log can send it.
 */
function withoutValues(error: Error): Record<string, unknown> {
  const shown = stdSerializers.err(error);
  return Object.fromEntries(Object.entries(shown).filter(([name]) => !VALUES.has(name)));
}

/** In a line of JSON, which ends with the only line break that it has as it is. */
function withVisible(line: string): string {
  return `${visibleText(line.trimEnd())}\n`;
}

/** Escapes of controls that stay escapes once the line is read as JSON; line breaks and tabs, as in a stack, do not. */
function withTextEscapes(line: string): string {
  return line.replace(/(?<!\\)((?:\\\\)*)\\u([0-9a-f]{4})/g, "$1\\\\u$2");
}

function withTextBigints(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [key, typeof value === "bigint" ? value.toString() : value]),
  );
}
