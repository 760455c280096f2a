import { hostname } from "node:os";
import { Worker } from "node:worker_threads";
import type { Telemetry } from "bullmq";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { DataSource } from "typeorm";
import { type Config, readConfig } from "../config.js";
import { createLogger } from "../logging.js";
import { createRegistry } from "../metrics/registry.js";
import { type RoleServer, serveRole } from "../metrics/role-server.js";
import { connectRedis, type RedisClient } from "../redis/client.js";
import { startHeartbeat } from "../status/heartbeat.js";
import { checkRedis } from "./check-servers.js";
import { openDatabase } from "./open-database.js";
import { redisTarget } from "./open-servers.js";

/** Something that runs until it is stopped. */
export type Actor = {
  start(): void | Promise<void>;
  /** Finishes what is in hand. Resolves when nothing of it runs any more. */
  stop(): Promise<void>;
  /** Resolves with the reason where it can't go on: the process ends, and whatever runs it starts it again. */
  readonly failed?: Promise<string>;
};

/** What each role begins with. */
export type Role = {
  readonly config: Config;
  /** Unique among the processes of the role. */
  readonly name: string;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly tracing: Tracing;
  readonly dataSource: DataSource;
  readonly redis: RedisClient;
  /** What the role opens is added here. It is closed in the reverse order, after the actor has stopped. */
  readonly closing: AsyncDisposableStack;
  /**
   * Lets others see the role, and runs the actor until the process is told to stop.
   * @param figures told with each heartbeat
   */
  run(actor: Actor, figures?: () => Readonly<Record<string, string | number>>): Promise<void>;
};

/**
 * Opens what `ingest`, `consume` and `work` need before they differ. The server of metrics and probes comes first: a role
 * that waits for its database is alive, and must be able to say so.
 * @param consumer the name of this consumer, also in its log lines; another role is named by its host and process
 * @throws ConfigError for what will not be there by waiting
 */
export async function openRole(role: "ingest" | "consume" | "work", consumer?: string): Promise<Role> {
  const config = readConfig(process.env);
  const logger = createLogger(config, role).child(consumer === undefined ? {} : { consumer });
  const registry = createRegistry();
  const closing = new AsyncDisposableStack();
  const server = await openRoleServer(config, logger, registry);
  closing.defer(() => server?.close());
  const tracing = await startTracing(config, role);
  closing.defer(() => tracing.stop());
  const dataSource = await openDatabase(config, role, logger);
  closing.defer(() => dataSource.destroy());
  const redis = connectRedis(redisTarget(config), `paidonce-${role}`, logger);
  closing.defer(() => redis.disconnect());
  await checkRedis(redis, logger, "paidonce:{probe}", ["streams"]);
  const opened = { config, name: consumer ?? `${hostname()}-${process.pid}`, logger, registry, tracing };
  return {
    ...opened,
    dataSource,
    redis,
    closing,
    run: async (actor, figures = () => ({})) => {
      const heartbeat = startHeartbeat({ redis, role, name: opened.name, logger, figures });
      closing.defer(() => heartbeat.stop());
      // Readiness waits for the first answer of Redis; the work does not.
      const becameReady = () => server?.becameReady();
      if (redis.status === "ready") becameReady();
      else redis.once("ready", becameReady);
      await runRole(logger, actor, closing);
    },
  };
}

/** How long a clean stop may take before the process ends anyway; what is left is redelivered. */
const STOP_WITHIN_MS = 20_000;

/** All is finished by then: what is still open has nothing to do with the work. */
const LINGER_MS = 2_000;

/**
 * Runs an actor until SIGTERM or SIGINT, or until it fails, then stops it cleanly. A second signal ends the process at once:
 * that is safe at any point, and costs a redelivery at the most.
 * @param closing what to close after the actor, such as connections
 */
export async function runRole(
  logger: Logger,
  actor: Actor,
  closing = new AsyncDisposableStack(),
): Promise<void> {
  const stopAsked = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(1));
        resolve(signal);
      });
    }
    // Started by `up`, which is gone: without this a role would run on with nobody to stop it.
    process.once("disconnect", () => resolve("the supervisor is gone"));
  });
  watchEventLoop();
  closing.defer(() => actor.stop());
  await actor.start();
  // The supervisor, where there is one, waits for this.
  process.send?.("ready");
  const failed = actor.failed?.then((why) => {
    process.exitCode = 1;
    return why;
  });
  const reason = await Promise.race(failed === undefined ? [stopAsked] : [stopAsked, failed]);
  logger.info({ reason }, "stopping");
  const deadline = setTimeout(() => {
    logger.warn("the clean stop takes too long; ending now");
    process.exit(1);
  }, STOP_WITHIN_MS);
  try {
    // Each is closed whatever becomes of the one before: what is left open would keep the process.
    await closing.disposeAsync();
  } catch (error) {
    process.exitCode = 1;
    for (const err of errorsOf(error)) logger.error({ err }, "a part of this role did not stop cleanly");
  }
  clearTimeout(deadline);
  logger.info("stopped");
  if (process.connected) process.disconnect();
  // A client of a cluster can be in the middle of finding its nodes when it is told to end, and goes on with it.
  setTimeout(() => {
    logger.warn(
      { open: process.getActiveResourcesInfo() },
      "stopped, and something is still open; ending now",
    );
    process.exit();
  }, LINGER_MS).unref();
}

/** Every error of a stack's disposal: the stack wraps the earlier ones into the later ones. */
function* errorsOf(error: unknown): Generator<unknown> {
  if (!(error instanceof SuppressedError)) return yield error;
  yield* errorsOf(error.suppressed);
  yield* errorsOf(error.error);
}

/**
 * Serves a role's metrics and probes where METRICS_PORT says so.
 * @returns null where it can't or is not wanted: that keeps no role from its work
 */
async function openRoleServer(
  config: Config,
  logger: Logger,
  registry: Registry,
): Promise<RoleServer | null> {
  const { METRICS_PORT: port, METRICS_HOST: host } = config;
  if (port === undefined) return null;
  try {
    const server = await serveRole(registry, port, host);
    logger.info({ port: server.port }, `metrics on http://${host}:${server.port}/metrics`);
    return server;
  } catch (error) {
    logger.error({ err: error }, "no metrics: METRICS_PORT can't be listened on; going on without");
    return null;
  }
}

export type Tracing = {
  /** For BullMQ, which brings the trace from the queue to the worker. */
  readonly telemetry: Telemetry | undefined;
  /** Sends what is left. */
  stop(): Promise<void>;
};

/** Traces, where OTEL_EXPORTER_OTLP_ENDPOINT says so; loaded only then. */
export async function startTracing(config: Config, role: string): Promise<Tracing> {
  const endpoint = config.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return { telemetry: undefined, stop: async () => {} };
  const [{ startOtlpTracing }, { BullMQOtel }] = await Promise.all([
    import("../tracing-otlp.js"),
    import("bullmq-otel"),
  ]);
  const { stop } = startOtlpTracing(endpoint, role);
  return { telemetry: new BullMQOtel({ tracerName: "paidonce" }), stop };
}

/** A loop that has not turned for this long does not come back: it spins on promises that reject at once. */
const STANDS_AFTER_MS = 15_000;

const TICK_MS = 1_000;

/**
 * Runs in a thread of its own, since the process' own timers and signals need the loop that stands. Counts its own rounds and
 * asks no clock: a process that was stopped for an hour has lost nothing.
 */
const WATCH = `
  const { workerData } = require("node:worker_threads");
  const turns = new Int32Array(workerData.shared);
  let [seen, rounds] = [-1, 0];
  setInterval(() => {
    const now = Atomics.load(turns, 0);
    rounds = now === seen ? rounds + 1 : 0;
    seen = now;
    if (rounds * ${TICK_MS} < ${STANDS_AFTER_MS}) return;
    require("node:fs").writeSync(2, "paidonce: the event loop has stood for ${STANDS_AFTER_MS / 1000} s, and no signal is heard any more; ending\\n");
    process.kill(process.pid, "SIGKILL");
  }, ${TICK_MS});`;

/**
 * Ends the process where its event loop stands: it would hear no SIGTERM, and answer no probe. That is safe at any
 * point; whoever started it starts it again.
 */
export function watchEventLoop(): void {
  const shared = new SharedArrayBuffer(4);
  const turns = new Int32Array(shared);
  setInterval(() => Atomics.add(turns, 0, 1), TICK_MS / 2).unref();
  const watcher = new Worker(WATCH, {
    eval: true,
    workerData: { shared },
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 },
  });
  watcher.on("error", () => undefined);
  watcher.unref();
}
