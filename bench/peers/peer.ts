import type { DataSource } from "typeorm";
import { createDataSource } from "../../src/entities/data-source.js";

/** What the driver gives a peer's process: by IPC, before it says "go". */
export type PeerTask = {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Payments that this process works on at once. */
  readonly concurrency: number;
};

/** How often the driver is told how far this process is. */
const TELL_EVERY_MS = 10;

/**
 * A peer's process: gets its task, says when it is ready, begins at "go", and tells how many payments it has
 * acknowledged until the driver ends it.
 */
export async function runPeer(
  begin: (
    task: PeerTask,
    dataSource: DataSource,
    acknowledged: () => void,
  ) => Promise<{ go: () => void | Promise<void> }>,
): Promise<void> {
  const task = JSON.parse(process.argv[2] ?? "{}") as PeerTask;
  const { databaseUrl: url, concurrency } = task;
  // A connection for each: none ever waits for one.
  const dataSource = await createDataSource({
    url,
    applicationName: "peer",
    poolSize: concurrency + 1,
  }).initialize();
  let done = 0;
  const { go } = await begin(task, dataSource, () => done++);
  process.on("disconnect", () => process.exit());
  process.once("message", () => {
    setInterval(() => process.send?.(done), TELL_EVERY_MS);
    Promise.resolve(go()).catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    });
  });
  process.send?.("ready");
}
