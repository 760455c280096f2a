import type { Logger } from "pino";
import { watchEventLoop } from "./watch-event-loop.js";

/** Something that runs until it is stopped. */
export type Actor = {
  start(): void | Promise<void>;
  /** Finishes what is in hand. Resolves when nothing of it runs any more. */
  stop(): Promise<void>;
};

/** How long a clean stop may take before the process ends anyway; what is left is redelivered. */
const STOP_WITHIN_MS = 20_000;

/** All is finished by then: what is still open has nothing to do with the work. */
const LINGER_MS = 2_000;

/**
 * Runs an actor until SIGTERM or SIGINT, then stops it cleanly. A second signal ends the process at once:
 * that is safe at any point, and costs a redelivery at the most. The only place that handles signals.
 *
 * @param close what to end after the actor, such as connections, in this order
 */
export async function runRole(
  logger: Logger,
  actor: Actor,
  close: readonly (() => Promise<unknown> | unknown)[] = [],
): Promise<void> {
  const stopAsked = new Promise<string>((resolve) => {
    const ask = (reason: string) => () => resolve(reason);
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(1));
        ask(signal)();
      });
    }
    // Started by `up`, which is gone: without this a role would run on with nobody to stop it.
    process.once("disconnect", ask("the supervisor is gone"));
  });
  watchEventLoop();
  await actor.start();
  // The supervisor, where there is one, waits for this.
  process.send?.("ready");
  const reason = await stopAsked;
  logger.info({ reason }, "stopping");
  const deadline = setTimeout(() => {
    logger.warn("the clean stop takes too long; ending now");
    process.exit(1);
  }, STOP_WITHIN_MS);
  // Each is ended whatever becomes of the one before: what is left open would keep the process.
  let isClean = true;
  for (const end of [() => actor.stop(), ...close]) {
    try {
      await end();
    } catch (error) {
      isClean = false;
      logger.error({ err: error }, "a part of this role did not stop cleanly");
    }
  }
  clearTimeout(deadline);
  if (!isClean) process.exitCode = 1;
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
