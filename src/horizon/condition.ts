import type { HorizonClient } from "./client.js";
import { HorizonError, WrongNetworkError } from "./errors.js";

/**
 * What keeps payments from being seen, by its name: each has another remedy.
 *
 * - `limited`: the server refuses for its rate limit, or the budget of requests has no room
 * - `page_too_large`: something in a page is over every bound, and its id can't be read
 * - `behind`: the server has not ingested what its own core has, or serves an old state
 * - `away`: no answer, or none that can be read
 * - `paused`: the server is well and up to date, and the network closes no ledgers
 */
export type ConditionName = "ok" | "limited" | "page_too_large" | "behind" | "away" | "paused";

export type Condition = {
  readonly name: ConditionName;
  readonly since: Date | null;
  readonly detail: string;
};

const OK: Condition = { name: "ok", since: null, detail: "" };

/** Problems of a server that is there and has old ledgers alone. */
const BEHIND_PROBLEMS = new Set(["stale_history", "still_ingesting"]);

/** What a failure says about the server. Pure. @returns null where it says nothing about the server as a whole */
export function conditionOf(error: HorizonError): Exclude<ConditionName, "ok" | "paused"> | null {
  switch (error.kind) {
    case "rate_limited":
    case "limited":
      return "limited";
    case "too_large":
      return "page_too_large";
    case "behind":
      return "behind";
    case "unavailable":
      return error.problemType !== null && BEHIND_PROBLEMS.has(error.problemType) ? "behind" : "away";
    case "timeout":
    case "network":
    case "broken_body":
      return "away";
    case "bad_request":
    case "not_found":
    case "before_history":
      return null;
  }
}

/** What a log line says of it: what is wrong, then what is done about it. */
export const CONDITION_WORDS: Readonly<Record<Exclude<ConditionName, "ok">, string>> = {
  limited: "Horizon's rate limit is reached; asking more slowly",
  page_too_large: "a record on Horizon's page is over every bound; asking again",
  behind: "Horizon is behind the network; waiting for it",
  away: "Horizon can't be reached, or gives no answer that can be read; trying again",
  paused: "the network closes no ledgers; looking now and then",
};

/**
 * A limit, or a page that is too large, stops one feed while another is served: the server is not called well before it
 * has kept quiet for this long, in milliseconds.
 */
const LASTS_MS = 60_000;

/** What one process last saw of the server. */
export class ServerCondition {
  #condition: Condition = OK;
  #lastsUntil = 0;

  get current(): Condition {
    return this.#condition;
  }

  /** @returns whether this is news */
  set(name: ConditionName, detail = ""): boolean {
    if (name === "ok") {
      if (performance.now() < this.#lastsUntil) return false;
      const isNews = this.#condition.name !== "ok";
      this.#condition = OK;
      return isNews;
    }
    if (name === "limited" || name === "page_too_large") this.#lastsUntil = performance.now() + LASTS_MS;
    const isNews = this.#condition.name !== name;
    this.#condition = { name, detail, since: isNews ? new Date() : this.#condition.since };
    return isNews;
  }

  /** @returns whether this is news */
  failed(error: unknown): boolean {
    const name = error instanceof HorizonError ? conditionOf(error) : null;
    return name !== null && this.set(name, error instanceof Error ? error.message : "");
  }
}

/**
 * Whether Horizon is away for all after one question has failed, or only failed with that one: the page of one account can
 * time out each time. The server is asked what it is, which costs it nothing.
 * @returns why it is away; null where it answers, or the error is none of Horizon's
 * @throws the signal's reason
 */
export async function whyAway(
  horizon: HorizonClient,
  error: unknown,
  signal: AbortSignal,
): Promise<string | null> {
  if (error instanceof WrongNetworkError) return error.message;
  if (!(error instanceof HorizonError)) return null;
  try {
    await horizon.root(signal);
    return null;
  } catch (second) {
    signal.throwIfAborted();
    return `Horizon is away: ${second instanceof Error ? second.message : String(second)}`;
  }
}
