import { z } from "zod";

/** Faults on demand: rules that requests are matched against. A rule meets what fits, then its dice, then its count. */
const match = {
  /** Prefix of the path, `/` for all. */
  path: z.string().startsWith("/").default("/"),
  /** What the path ends with, such as `/confirm`. */
  ending: z.string().default(""),
  method: z.enum(["GET", "POST"]).optional(),
  /** Chance per request; 1 when left out. */
  probability: z.number().min(0).max(1).default(1),
  /** How many more requests it meets; forever when left out. */
  count: z.number().int().positive().optional(),
};

export const faultSchema = z.discriminatedUnion("kind", [
  /** Waits, then does it, whether the client still listens or not; without `ms` until somebody releases it. */
  z.object({ kind: z.literal("late"), ms: z.number().int().min(0).optional(), ...match }),
  /** Does it at once and answers after `ms`; without it once somebody releases it. */
  z.object({ kind: z.literal("slow_answer"), ms: z.number().int().min(0).optional(), ...match }),
  /** Does it, then drops the connection. */
  z.object({ kind: z.literal("drop_after"), ...match }),
  /** Does it, then answers 500, now and under the same key for ever. */
  z.object({ kind: z.literal("error_after"), ...match }),
  /** Answers 500 without doing anything; `kept` under the key, as where work had begun. */
  z.object({ kind: z.literal("error_before"), kept: z.boolean().default(false), ...match }),
  /** Drops the connection before a byte is read. */
  z.object({ kind: z.literal("reset"), ...match }),
  /** Does it, and breaks off in the middle of the answer's body, which looks whole. */
  z.object({ kind: z.literal("truncate"), ...match }),
  z.object({ kind: z.literal("rate_limit"), retryAfter: z.number().int().min(0).default(1), ...match }),
  /** 429 of another kind: a request on the same object is under way. */
  z.object({ kind: z.literal("lock_timeout"), ...match }),
  /** 409, as while the first request under a key runs. */
  z.object({ kind: z.literal("in_flight"), ...match }),
  /** The request arrives twice; the answer is the second one. */
  z.object({ kind: z.literal("twice"), ...match }),
  z.object({ kind: z.literal("unauthorized"), ...match }),
  /** Of events, by their type as `path`, such as `/payment_intent.succeeded`. */
  z.object({
    kind: z.literal("webhook"),
    outcome: z.enum(["lost", "duplicated", "late"]),
    ms: z.number().int().min(0).optional(),
    ...match,
  }),
]);

export type Fault = z.infer<typeof faultSchema>;
export type FaultInput = z.input<typeof faultSchema>;
type Kind = Fault["kind"];

type Rule = { readonly id: number; readonly fault: Fault; left: number };

export class FaultBook {
  #rules: Rule[] = [];
  #nextId = 1;
  #random: () => number;
  readonly #parked = new Set<() => void>();

  constructor(seed = 1) {
    this.#random = seeded(seed);
  }

  /** The dice start again from here. */
  seed(seed: number): void {
    this.#random = seeded(seed);
  }

  /** @returns the rule's id, by which it can be cleared */
  add(asked: FaultInput): number {
    const fault = faultSchema.parse(asked);
    const id = this.#nextId++;
    this.#rules.push({ id, fault, left: fault.count ?? Number.POSITIVE_INFINITY });
    return id;
  }

  /** @param id one rule; all when left out */
  clear(id?: number): void {
    this.#rules = id === undefined ? [] : this.#rules.filter((rule) => rule.id !== id);
  }

  list(): { id: number; fault: Fault; left: number | null }[] {
    return this.#rules.map(({ id, fault, left }) => ({
      id,
      fault,
      left: Number.isFinite(left) ? left : null,
    }));
  }

  /** The one fault that a request meets, the oldest rule first; counts go down. */
  meet(method: string, path: string): Fault | null {
    return this.#meet((fault) => fault.kind !== "webhook" && (fault.method ?? method) === method, path);
  }

  meetEvent(type: string): Extract<Fault, { kind: "webhook" }> | null {
    const met = this.#meet(({ kind }) => kind === "webhook", `/${type}`);
    return met?.kind === "webhook" ? met : null;
  }

  #meet(fits: (fault: Fault) => boolean, path: string): Fault | null {
    const rule = this.#rules.find(
      ({ fault }) =>
        fits(fault) &&
        path.startsWith(fault.path) &&
        path.endsWith(fault.ending) &&
        (fault.probability === 1 || this.#random() < fault.probability),
    );
    if (rule === undefined) return null;
    rule.left -= 1;
    if (rule.left <= 0) this.clear(rule.id);
    return rule.fault;
  }

  /** Resolves after `ms`; without it, or earlier, when everything is released. */
  wait(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => go(), ms);
      const go = () => {
        clearTimeout(timer);
        this.#parked.delete(go);
        resolve();
      };
      this.#parked.add(go);
    });
  }

  /** Requests that wait now. */
  get waiting(): number {
    return this.#parked.size;
  }

  /** What waits goes on now. */
  release(): void {
    for (const go of [...this.#parked]) go();
  }
}

/** Which faults a request meets before anything is read, and which one after the work. */
export function isOneOf<K extends Kind>(
  fault: Fault | null,
  ...kinds: readonly K[]
): fault is Extract<Fault, { kind: K }> {
  return fault !== null && (kinds as readonly Kind[]).includes(fault.kind);
}

/** mulberry32: a small generator is enough for dice that must fall the same way again. In [0, 1). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
