import { setTimeout as sleep } from "node:timers/promises";
import type { Dice } from "../dice.js";
import type { World } from "../world.js";

/** Something that is done to the system on purpose, and ended again. */
export type Fault = {
  readonly name: string;
  /** What must be seen, and is checked. */
  readonly seen: string;
  /** How often it stands in a round of all faults. */
  readonly times: number;
  /** It takes so long that others happen meanwhile, and short runs leave it out. */
  readonly long?: boolean;
  /** What it is for, where that is not every run: it is no part of the schedule of the others. */
  readonly on?: (world: World) => boolean;
  /** Why it can't be done on this machine; null if it can. */
  readonly missing?: () => string | null;
  /**
   * Resolves when it is over. The dice decide whom it hits, and for how long; when `signal` aborts it is ended at
   * once.
   * @throws Error when it could not be done, or was undone by another one
   */
  readonly run: (world: World, dice: Dice, signal: AbortSignal) => Promise<void>;
};

/** Waits, not longer than the signal lets it: whoever tears everything down waits for every fault's end. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
