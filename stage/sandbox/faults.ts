import { z } from "zod";
import { FaultRules, match, type Rule } from "../server/fault-rules.js";

/** The faults of Horizon, as a caller asks for them. A request meets all rules that fit. */
export const faultSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("status"),
    status: z.number().int().min(400).max(599),
    /** Name of the Horizon problem, such as stale_history; the usual one of the status when left out. */
    type: z.string().optional(),
    /** For 429: seconds in Retry-After. */
    retryAfter: z.number().int().positive().default(1),
    ...match,
  }),
  z.object({ kind: z.literal("delay"), ms: z.number().int().min(0), ...match }),
  /** The body ends after `bytes` (half of it when left out), with the status of success. */
  z.object({ kind: z.literal("truncate"), bytes: z.number().int().min(0).optional(), ...match }),
  /** The body stops after `bytes` (half of it when left out), and the connection stays open until it is cut. */
  z.object({ kind: z.literal("stall"), bytes: z.number().int().min(0).optional(), ...match }),
  /** A stream says hello and `after` records, then nothing more, and stays open. */
  z.object({ kind: z.literal("sse_silent"), after: z.number().int().min(0).default(0), ...match }),
  /** A stream sends `event: error` after `after` records, then ends. */
  z.object({
    kind: z.literal("sse_error"),
    after: z.number().int().min(0).default(0),
    status: z.number().int().default(503),
    type: z.string().optional(),
    ...match,
  }),
  /** Each record comes this many times, on pages and streams. */
  z.object({ kind: z.literal("repeat"), times: z.number().int().min(2).max(1000).default(2), ...match }),
  /** Records of a page, or of one look of a stream, come in a shuffled order; see `disturb`. */
  z.object({ kind: z.literal("reorder"), ...match }),
  /**
   * The server's history is this many ledgers behind its core, as after a restart, and catches up evenly within
   * `catchUpMs`; never when left out.
   */
  z.object({
    kind: z.literal("behind"),
    ledgers: z.number().int().positive(),
    catchUpMs: z.number().int().positive().optional(),
    ...match,
  }),
  /** Answers about the ledger's state lack `Latest-Ledger`, as behind a proxy that drops what it does not know. */
  z.object({ kind: z.literal("headerless"), ...match }),
  z.object({
    kind: z.literal("submit"),
    outcome: z.enum(["applied_504", "lost_504", "applied_bad_seq", "try_again_later"]),
    ...match,
  }),
]);

export type Fault = z.infer<typeof faultSchema>;
/** As a caller writes it: path, probability and the like have defaults. */
export type FaultInput = z.input<typeof faultSchema>;
export type FaultKind = Fault["kind"];
export type FaultOf<K extends FaultKind> = Extract<Fault, { kind: K }>;

/** The faults that one request met, by kind; of several of a kind the newest. */
export class Faults {
  readonly #met = new Map<FaultKind, Fault>();
  #behindSince = 0;

  constructor(
    met: readonly Pick<Rule<Fault>, "fault" | "since">[],
    readonly random: () => number,
  ) {
    for (const { fault, since } of met) {
      this.#met.set(fault.kind, fault);
      if (fault.kind === "behind") this.#behindSince = since;
    }
  }

  get<K extends FaultKind>(kind: K): FaultOf<K> | undefined {
    const fault = this.#met.get(kind);
    return fault === undefined ? undefined : (fault as FaultOf<K>);
  }

  /** How many ledgers the server's history is behind now. */
  ledgersBehind(): number {
    const { ledgers = 0, catchUpMs } = this.get("behind") ?? {};
    if (catchUpMs === undefined) return ledgers;
    const left = 1 - (performance.now() - this.#behindSince) / catchUpMs;
    return Math.max(Math.ceil(ledgers * left), 0);
  }

  /**
   * Records as `repeat` and `reorder` leave them. An answer that breaks off keeps its order: nothing in the half of a
   * shuffled one would tell that an earlier record is missing, and no server does that, since its database sorts.
   */
  disturb<T>(records: readonly T[]): T[] {
    const times = this.get("repeat")?.times ?? 1;
    const repeated = records.flatMap((record) => Array.from({ length: times }, () => record));
    const whole = this.get("truncate") === undefined && this.get("stall") === undefined;
    return this.get("reorder") !== undefined && whole ? shuffle(repeated, this.random) : repeated;
  }
}

export class FaultBook extends FaultRules<Fault, FaultInput> {
  constructor(seed = 1) {
    super(faultSchema, seed);
  }

  /** What a request meets that no fault may touch. */
  none(): Faults {
    return new Faults([], this.random);
  }

  /** Which faults a request meets; counts go down. */
  meet(method: string, path: string, streaming: boolean): Faults {
    const fits = (fault: Fault) =>
      applies(fault.kind, method, path, streaming) && (fault.method ?? method) === method;
    return new Faults(this.take(path, fits), this.random);
  }
}

/** Whether a kind means anything to a request; else its count would be used up by requests it can't touch. */
function applies(kind: FaultKind, method: string, path: string, streaming: boolean): boolean {
  switch (kind) {
    case "submit":
      return method === "POST" && (path === "/transactions" || path === "/transactions_async");
    case "sse_silent":
    case "sse_error":
      return streaming;
    case "truncate":
    case "stall":
      return !streaming;
    case "repeat":
    case "reorder":
    case "behind":
    case "headerless":
      return method === "GET";
    case "status":
    case "delay":
      return true;
  }
}

/** Fisher-Yates; two or more are never left as they were, or the fault would sometimes be none. */
function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [shuffled[i], shuffled[j]];
    if (a !== undefined && b !== undefined) [shuffled[i], shuffled[j]] = [b, a];
  }
  return shuffled.every((item, i) => item === items[i]) ? shuffled.reverse() : shuffled;
}
