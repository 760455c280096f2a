import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Arrivals } from "./processes/receiver.js";

/** A merchant's webhook receiver that does nothing but note when something came. */
export class BenchReceiver implements AsyncDisposable {
  private constructor(
    readonly url: string,
    readonly pid: number,
    readonly child: ChildProcess,
  ) {}

  static async start(): Promise<BenchReceiver> {
    const child = fork(new URL("processes/receiver.js", import.meta.url), { execArgv: [] });
    const [url] = (await once(child, "message")) as [string];
    return new BenchReceiver(url, child.pid ?? 0, child);
  }

  /** When each event came first, in nanoseconds of the monotonic clock, by its id. */
  async arrivals(): Promise<ReadonlyMap<string, bigint>> {
    const answer = once(this.child, "message");
    this.child.send("tell");
    const [arrivals] = (await answer) as [Arrivals];
    return new Map(arrivals.map(([id, at]) => [id, BigInt(at)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.child, "exit");
    this.child.disconnect();
    await ended;
  }
}
