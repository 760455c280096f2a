/**
 * The role `work` as the CLI runs it, with the test's bank as its provider, which no configuration can name: for tests
 * that kill it. Reads DATABASE_URL, REDIS_URL, BANK_URL, and in PROVIDERS under
 * which names, separated by commas.
 */
import { runRole } from "../../src/cli/run-role.js";
import { createDataSource } from "../../src/entities/data-source.js";
import { Worker } from "../../src/jobs/worker.js";
import { createLogger } from "../../src/logging.js";
import { connectRedis } from "../../src/redis/client.js";
import { bankProvider } from "./bank-provider.js";

const { DATABASE_URL = "", REDIS_URL = "", BANK_URL = "", PROVIDERS = "" } = process.env;
const logger = createLogger({ LOG_LEVEL: "warn", LOG_FORMAT: "json" }, "work");
const dataSource = await createDataSource({ url: DATABASE_URL, applicationName: "test-work" }).initialize();
const worker = new Worker({
  dataSource,
  logger,
  charges: {
    providers: new Map(PROVIDERS.split(",").map((name) => [name, bankProvider(BANK_URL, name)])),
    timeoutMs: 30_000,
  },
  connect: (name) =>
    connectRedis(REDIS_URL, name, logger, { maxRetriesPerRequest: null, commandTimeout: undefined }),
  everyMs: 100,
  rescheduleMs: 100,
});
const closing = new AsyncDisposableStack();
closing.defer(() => dataSource.destroy());
await runRole(logger, worker, closing);
