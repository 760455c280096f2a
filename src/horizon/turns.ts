import { setImmediate as nextTurn } from "node:timers/promises";

/** Work between two turns of the event loop, in milliseconds: timers, leases and other answers wait meanwhile. */
const TURN_MS = 15;

/** Lets others have their turn in the middle of work that is long: call `rest` after each small part of it. */
export class Turns {
  #began = performance.now();

  async rest(): Promise<void> {
    if (performance.now() - this.#began < TURN_MS) return;
    await nextTurn();
    this.#began = performance.now();
  }
}
