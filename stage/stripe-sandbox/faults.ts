import { z } from "zod";
import { match as anyMatch, FaultRules } from "../server/fault-rules.js";

const match = {
  ...anyMatch,
  /** What the path ends with, such as `/confirm`. */
  ending: z.string().default(""),
};

/** The faults of Stripe, as a caller asks for them. A request meets one: the oldest rule that fits. */
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

export class FaultBook extends FaultRules<Fault, FaultInput> {
  readonly #parked = new Set<() => void>();

  constructor(seed = 1) {
    super(faultSchema, seed);
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
    const [rule] = this.take(path, (fault) => fits(fault) && path.endsWith(fault.ending), 1);
    return rule?.fault ?? null;
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
