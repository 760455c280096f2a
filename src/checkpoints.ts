/**
 * Named points between the steps that must be safe to die between. In production a checkpoint does nothing.
 * In tests, where PAIDONCE_TEST=1, a process dies at the point that PAIDONCE_CRASH_AT names (`kill -9`, no
 * clean-up; with `@2` the second time that it comes there) or is paused the first time it comes to the one that PAIDONCE_STOP_AT names (SIGSTOP, as a laptop
 * that sleeps), and a test in the same process can wait for a point or stop there.
 */
export type Checkpoint =
  | "ingest.before-append"
  | "ingest.after-append"
  | "consumer.after-read"
  | "consumer.after-lock"
  | "settlement.after-session-lock"
  | "settlement.after-write"
  | "transaction.before-commit"
  | "consumer.after-commit"
  | "consumer.after-release"
  | "consumer.after-acknowledge"
  | "submission.before-send"
  | "submission.after-send"
  | "webhook.before-send"
  | "webhook.after-send"
  | "charge.after-claim"
  | "charge.before-call"
  | "charge.after-call"
  | "charge.before-record";

type Hook = (point: Checkpoint) => void | Promise<void>;

let hook: Hook | null = process.env.PAIDONCE_TEST === "1" ? hookOf(process.env) : null;

/** Marks a step. Resolves at once unless a test has put something there. */
export function checkpoint(point: Checkpoint): void | Promise<void> {
  if (hook !== null) return hook(point);
}

/**
 * For tests: runs `next` at every checkpoint of this process until called again with null.
 * @throws Error outside tests
 */
export function atCheckpoints(next: Hook | null): void {
  if (process.env.PAIDONCE_TEST !== "1") throw new Error("checkpoints are for tests: set PAIDONCE_TEST=1");
  hook = next;
}

function hookOf({ PAIDONCE_CRASH_AT: crashAt, PAIDONCE_STOP_AT: stopAt }: NodeJS.ProcessEnv): Hook | null {
  if (!crashAt && !stopAt) return null;
  const [crashPoint, time = "1"] = crashAt?.split("@") ?? [];
  let left = Number(time);
  let stopped = false;
  return (point) => {
    if (point === crashPoint && --left === 0) process.kill(process.pid, "SIGKILL");
    if (point !== stopAt || stopped) return;
    stopped = true;
    process.kill(process.pid, "SIGSTOP");
  };
}
