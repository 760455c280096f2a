import { sleep } from "../../backoff.js";
import type { ChargeId } from "../../entities/charge.js";
import type { HorizonClient } from "../../horizon/client.js";
import { HorizonError, WrongNetworkError } from "../../horizon/errors.js";
import { isSpent, type Judgement, judgeSubmission } from "../../horizon/judge-submission.js";
import { readTransaction, type TransactionAnswer } from "../../horizon/read-transaction.js";
import { submitTransaction } from "../../horizon/submit.js";
import type { Kept } from "../../submission/read-submission.js";
import type { ChargeOrder, ChargeOutcome, FindOutcome, InProgress, Provider } from "../provider.js";
import { STELLAR } from "./accept.js";
import { ruleFor, type SubmitRule } from "./submit-rules.js";

export type StellarOptions = {
  readonly horizon: HorizonClient;
  /** The network that Horizon must serve: what another one does not know proves nothing. */
  readonly passphrase: string;
  /** The transaction that was handed in for a charge. */
  readonly keptFor: (id: ChargeId) => Promise<Kept | null>;
  /** How long `charge` may take before it stops looking for the ledger, in milliseconds. */
  readonly awaitMs?: number;
  /** Between two looks, in milliseconds. */
  readonly lookEveryMs?: number;
};

/** Two ledgers. A worker that waits longer keeps others waiting; `find` comes back anyway. */
const AWAIT_MS = 12_000;

/** From the time bound to a ledger that closed after it and was ingested. */
const LEDGER_AFTER_MS = 12_000;

/** Each look counts against the server's rate limit: 3,600 an hour by default. */
const LOOK_EVERY_MS = 2_000;

/**
 * Charges by the payer's signed transaction. The envelope is the key: it can apply once, whoever sends it how often,
 * and its hash is known before it is sent, so there is nothing to prepare.
 *
 * Never `refused`: that a server takes nothing today says nothing of what the payer does with the same envelope.
 */
export class StellarProvider implements Provider {
  readonly name = STELLAR;

  constructor(private readonly options: StellarOptions) {}

  /** Sends it, and looks for its ledger for a while. */
  async charge({ id }: ChargeOrder, signal: AbortSignal): Promise<ChargeOutcome> {
    return await answered(signal, async () => {
      const until = performance.now() + (this.options.awaitMs ?? AWAIT_MS);
      const kept = await this.options.keptFor(id);
      if (kept === null) return NOTHING_KEPT;
      const rule = ruleFor(await submitTransaction(this.options.horizon, kept, signal));
      const outcome = await this.#look(kept, rule, until, signal);
      return outcome ?? { kind: rule.otherwise, detail: rule.why, ...decidedBy(kept) };
    });
  }

  /** Asks the ledgers by hash, and by nothing else. */
  async find({ id }: ChargeOrder, signal: AbortSignal): Promise<FindOutcome> {
    return await answered(signal, async () => {
      const { horizon, passphrase } = this.options;
      const kept = await this.options.keptFor(id);
      if (kept === null) return NOTHING_KEPT;
      // Before the question: an answer can only be believed about ledgers that were closed when it was given.
      const before = await horizon.assertNetwork(passphrase, signal);
      const answer = await readTransaction(horizon, kept.account, kept.hash, signal);
      const after = answer.kind === "absent" ? await horizon.root(signal) : before;
      const judgement = judgeSubmission(kept, answer, { before, after });
      // By the network's clock: while a ledger can still take it, sending it again is what helps.
      const closedAt = before.historyLatestClosedAt;
      return foundBy(judgement, kept, closedAt === null || closedAt <= kept.maxTime);
    });
  }

  /** @returns null where it is in no ledger as far as one can see */
  async #look(
    kept: Kept,
    { next }: SubmitRule,
    until: number,
    signal: AbortSignal,
  ): Promise<ChargeOutcome | null> {
    const { lookEveryMs = LOOK_EVERY_MS } = this.options;
    if (next === "leave") return null;
    for (;;) {
      const outcome = await this.#lookOnce(kept, signal);
      const isOver = next === "look_once" || performance.now() + lookEveryMs > until;
      if (outcome !== null || isOver) return outcome;
      await sleep(lookEveryMs, signal);
      signal.throwIfAborted();
    }
  }

  async #lookOnce(kept: Kept, signal: AbortSignal): Promise<ChargeOutcome | null> {
    try {
      return seen(await readTransaction(this.options.horizon, kept.account, kept.hash, signal), kept);
    } catch (error) {
      // Behind a balancer one server knows the transaction, and the next one not yet what it paid.
      if (error instanceof HorizonError && error.kind === "behind") return null;
      throw error;
    }
  }
}

const NOTHING_KEPT = { kind: "unknown", detail: "no transaction was kept for this charge" } as const;

/**
 * Whoever ran out of time does not know, nor does one whose server did not answer; one that has not got there yet is
 * `in_progress`. What no rule is for is thrown, and counts as unknown.
 */
async function answered<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | Unanswered> {
  try {
    // Without this line a transaction would be sent by an attempt whose time is over.
    signal.throwIfAborted();
    return await work();
  } catch (error) {
    if (signal.aborted) return { kind: "unknown", detail: "stopped before there was an answer" };
    if (!(error instanceof HorizonError || error instanceof WrongNetworkError)) throw error;
    const isBehind = error instanceof HorizonError && error.kind === "behind";
    return { kind: isBehind ? "in_progress" : "unknown", detail: error.message };
  }
}

/**
 * Once a ledger has closed after its time bound it is decided. By this machine's clock, which only says when to ask: a
 * bound that has passed is asked about on the usual schedule, as the network may be behind.
 */
function decidedBy({ maxTime }: Kept): Pick<InProgress, "askAfterMs"> {
  const left = maxTime.getTime() - Date.now();
  return left > 0 ? { askAfterMs: left + LEDGER_AFTER_MS } : {};
}

type Unanswered = { readonly kind: "in_progress" | "unknown"; readonly detail: string };

function seen(answer: TransactionAnswer, { hash }: Kept): ChargeOutcome | null {
  if (answer.kind === "applied") {
    return { kind: "succeeded", providerId: hash, movements: answer.movements };
  }
  if (answer.kind === "failed" && isSpent(answer.resultCode)) return failed(answer.resultCode);
  return null;
}

function foundBy(judgement: Judgement, { hash, maxTime }: Kept, canApply: boolean): FindOutcome {
  switch (judgement.kind) {
    case "settle":
      return { kind: "succeeded", providerId: hash, movements: judgement.movements };
    case "roll_back":
      if (judgement.resultCode !== null) return failed(judgement.resultCode);
      return {
        kind: "declined",
        code: "transaction_expired",
        detail: `in no ledger until ${maxTime.toISOString()}`,
      };
    case "wait":
    case "ask_person":
      return { kind: canApply ? "absent" : "in_progress", detail: judgement.why };
  }
}

function failed(resultCode: string) {
  return { kind: "declined", code: "transaction_failed", detail: resultCode } as const;
}
