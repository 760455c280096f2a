import { sleep } from "../../backoff.js";
import type { ChargeId } from "../../entities/charge.js";
import type { HorizonClient } from "../../horizon/client.js";
import { HorizonError, WrongNetworkError } from "../../horizon/errors.js";
import type { HorizonRoot } from "../../horizon/reach.js";
import { describeHole, findHistoryHole } from "../../horizon/reach.js";
import { readSource, readSubmitted, type TransactionAnswer } from "../../horizon/read-transaction.js";
import { isSpent } from "../../horizon/result-code.js";
import { submitTransaction } from "../../horizon/submit.js";
import { sequenceOf } from "../../submission/read-envelope.js";
import type { Kept } from "../../submission/submissions.js";
import type {
  ChargeOrder,
  ChargeOutcome,
  Declined,
  FindOutcome,
  InProgress,
  Provider,
  Succeeded,
} from "../provider.js";
import { STELLAR } from "./accept.js";
import { isInNoLedger, provedBySource } from "./expiry.js";
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

  /** Asks the ledgers by hash and, where they hold nothing of it, whether they still could. */
  async find({ id }: ChargeOrder, signal: AbortSignal): Promise<FindOutcome> {
    return await answered(signal, async () => {
      const { horizon, passphrase } = this.options;
      const kept = await this.options.keptFor(id);
      if (kept === null) return NOTHING_KEPT;
      // Before the question: an answer can only be believed about ledgers that were closed when it was given.
      const before = await horizon.assertNetwork(passphrase, signal);
      const answer = await readSubmitted(horizon, kept.account, kept, signal);
      return seen(answer, kept) ?? (await this.#unseen(kept, answer, before, signal));
    });
  }

  /** A failure that did not spend its sequence number is no more than an absence: it can apply in another bump. */
  async #unseen(
    kept: Kept,
    answer: TransactionAnswer,
    before: HorizonRoot,
    signal: AbortSignal,
  ): Promise<FindOutcome> {
    const { horizon, passphrase } = this.options;
    const { maxTime } = kept;
    const said = wordsFor(answer);
    const until = maxTime.toISOString();
    // By the network's clock: while a ledger can still take it, sending it again is what helps.
    const closedAt = before.historyLatestClosedAt;
    if (closedAt === null || closedAt <= maxTime) {
      return { kind: "absent", detail: `${said}, and it can apply until ${until}` };
    }
    const after = await horizon.root(signal);
    if (isInNoLedger(kept, answer, { before, after })) return expired(`in no ledger until ${until}`);
    const { source, sequence } = sequenceOf(kept.envelope, passphrase);
    const proof = provedBySource({ maxTime, sequence }, await readSource(horizon, source, signal), before);
    if (proof.isProof) return expired(`${said}, and could apply until ${until} only: ${proof.why}`);
    // Later answers can prove more. Where none ever does, a person closes the charge.
    const hole = findHistoryHole(kept.after, after);
    const holed = hole === null ? "" : `; ${describeHole(hole)}`;
    return { kind: "in_progress", detail: `${said}, which proves nothing: ${proof.why}${holed}` };
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
      return seen(await readSubmitted(this.options.horizon, kept.account, kept, signal), kept);
    } catch (error) {
      // Behind a balancer one server knows the transaction, and the next one not yet what it paid.
      if (error instanceof HorizonError && error.kind === "behind") return null;
      throw error;
    }
  }
}

const NOTHING_KEPT = { kind: "unknown", detail: "no transaction was kept for this charge" } as const;

/**
 * An attempt that ran out of time, or whose server did not answer, is unknown. One that is still under way is
 * `in_progress`. An error that has no rule here is thrown, and counts as unknown.
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

function seen(answer: TransactionAnswer, { hash }: Kept): Succeeded | Declined | null {
  if (answer.kind === "applied") {
    return { kind: "succeeded", providerId: hash, movements: answer.movements };
  }
  if (answer.kind === "failed" && isSpent(answer.resultCode)) return failed(answer.resultCode);
  return null;
}

function wordsFor(answer: TransactionAnswer): string {
  switch (answer.kind) {
    case "applied":
      return `it is in ledger ${answer.ledger}`;
    case "failed":
      return `ledger ${answer.ledger} refused it before its operations: ${answer.resultCode}`;
    case "absent":
      return "the server that was asked does not know it";
  }
}

function failed(resultCode: string) {
  return { kind: "declined", code: "transaction_failed", detail: resultCode } as const;
}

function expired(detail: string) {
  return { kind: "declined", code: "transaction_expired", detail } as const;
}
