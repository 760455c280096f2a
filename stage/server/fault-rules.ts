import { z } from "zod";
import { seeded } from "./dice.js";

/** By what a rule is matched against requests: what fits, then its dice, then its count. */
export const match = {
  /** Prefix of the path, `/` for all. */
  path: z.string().startsWith("/").default("/"),
  method: z.enum(["GET", "POST"]).optional(),
  /** Chance per request; 1 when left out. */
  probability: z.number().min(0).max(1).default(1),
  /** How many more requests it meets; forever when left out. */
  count: z.number().int().positive().optional(),
};

type Matched = { path: string; probability: number; count?: number | undefined };

/** @property since when it was added, on performance.now()'s clock */
export type Rule<F> = { readonly id: number; readonly fault: F; readonly since: number; left: number };

/** Faults on demand: the rules of one server, the oldest first. */
export class FaultRules<F extends Matched, Input> {
  #rules: Rule<F>[] = [];
  #nextId = 1;
  #random: () => number;
  readonly #schema: z.ZodType<F, Input>;

  constructor(schema: z.ZodType<F, Input>, seed: number) {
    this.#schema = schema;
    this.#random = seeded(seed);
  }

  /** The dice, for what else a fault leaves to chance. */
  protected get random(): () => number {
    return this.#random;
  }

  /** The dice start again from here. */
  seed(seed: number): void {
    this.#random = seeded(seed);
  }

  /** @returns the rule's id, by which it can be cleared */
  add(asked: Input): number {
    const fault = this.#schema.parse(asked);
    const id = this.#nextId++;
    const left = fault.count ?? Number.POSITIVE_INFINITY;
    this.#rules.push({ id, fault, since: performance.now(), left });
    return id;
  }

  /** @param id one rule; all when left out */
  clear(id?: number): void {
    this.#rules = id === undefined ? [] : this.#rules.filter((rule) => rule.id !== id);
  }

  list(): { id: number; fault: F; left: number | null }[] {
    return this.#rules.map(({ id, fault, left }) => ({
      id,
      fault,
      left: Number.isFinite(left) ? left : null,
    }));
  }

  /**
   * The rules that a request meets; their counts go down.
   * @param most how many at the most, the oldest first
   */
  protected take(path: string, fits: (fault: F) => boolean, most = Number.POSITIVE_INFINITY): Rule<F>[] {
    const met: Rule<F>[] = [];
    for (const rule of this.#rules) {
      if (met.length >= most) break;
      const { fault } = rule;
      if (!path.startsWith(fault.path) || !fits(fault)) continue;
      if (fault.probability < 1 && this.#random() >= fault.probability) continue;
      rule.left -= 1;
      met.push(rule);
    }
    this.#rules = this.#rules.filter((rule) => rule.left > 0);
    return met;
  }
}
