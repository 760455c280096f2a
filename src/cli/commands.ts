import type { LoadCommand } from "./run-program.js";

const watch = async () => (await import("./watch.js")).addWatchCommand;
/** What an operator runs, by name. */
export const COMMANDS: ReadonlyMap<string, LoadCommand> = new Map<string, LoadCommand>([
  ["migrate", async () => (await import("./migrate.js")).addMigrateCommand],
  ["ingest", async () => (await import("./ingest.js")).addIngestCommand],
  ["consume", async () => (await import("./consume.js")).addConsumeCommand],
  ["work", async () => (await import("./work.js")).addWorkCommand],
  ["api", async () => (await import("./api.js")).addApiCommand],
  ["status", async () => (await import("./status.js")).addStatusCommand],
  ["watch", watch],
  ["accept-hole", watch],
  ["shards", async () => (await import("./shards.js")).addShardsCommand],
  ["streams", async () => (await import("./streams.js")).addStreamsCommand],
  ["entry-key", async () => (await import("./entry-key.js")).addEntryKeyCommand],
  ["dead-letters", async () => (await import("./dead-letters.js")).addDeadLettersCommand],
  ["audit", async () => (await import("./audit.js")).addAuditCommand],
  ["recover", async () => (await import("./recover.js")).addRecoverCommand],
  ["findings", async () => (await import("./findings.js")).addFindingsCommand],
  ["charges", async () => (await import("./charges.js")).addChargesCommand],
  ["webhooks", async () => (await import("./webhooks.js")).addWebhooksCommand],
  ["partitions", async () => (await import("./partitions.js")).addPartitionsCommand],
  ["hash-password", async () => (await import("./hash-password.js")).addHashPasswordCommand],
  ["exceptions", async () => (await import("./exceptions.js")).addExceptionsCommand],
]);
