import type { Order } from "./plan.js";

/** A shop as its customers and we see it: it can be pressed, killed, and asked what it has in its books. */
export type Shop = {
  readonly name: string;
  /**
   * Presses Pay once, as its own client does, and waits for the answer.
   * @returns whether the shop says that the order is paid, or will be without another press
   * @throws when it says that it failed, or says nothing within `patience` milliseconds
   */
  press(order: Order, patience: number): Promise<void>;
  /** kill -9 of every process of it. */
  crash(): void;
  /** Starts again what was killed. */
  recover(): Promise<void>;
  /** Waits until it does nothing more by itself. */
  comeToRest(): Promise<void>;
  /** What its books say was paid, in cents, by order: one entry for each time. */
  recorded(): Promise<ReadonlyMap<string, readonly number[]>>;
  stop(): Promise<void>;
};
