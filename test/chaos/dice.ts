import { seeded } from "../../stage/server/dice.js";

/** Dice that fall the same way again for the same seed, whatever else draws meanwhile. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.#random();
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  /** @throws Error when there is nothing to choose from */
  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new Error("nothing to choose from");
    return item;
  }

  /** @throws Error when every weight is zero */
  weighted<T extends { readonly weight: number }>(items: readonly T[]): T {
    let left = this.#random() * items.reduce((sum, { weight }) => sum + weight, 0);
    for (const item of items) {
      left -= item.weight;
      if (left < 0) return item;
    }
    throw new Error("nothing to choose from");
  }

  /** Fisher-Yates. */
  shuffled<T>(items: readonly T[]): T[] {
    const order = items.map((item) => ({ item, at: this.#random() }));
    return order.sort((a, b) => a.at - b.at).map(({ item }) => item);
  }
}
