import type { DataSource } from "typeorm";
import { backoffDelay, sleep, within } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import type { ChargeId } from "../entities/charge.js";
import { databaseFault, violatedConstraint } from "../postgres/database-errors.js";
import type { Provider } from "../providers/provider.js";
import { settle } from "../settlement/settle.js";
import {
  type ChargeClaim,
  claimCharge,
  commitName,
  commitSend,
  type Recorded,
  readName,
  recordAttempt,
} from "./claim-charge.js";
import { type ChargeVerdict, type Heard, isFault, judgeAttempt } from "./judge-attempt.js";
import { readLastAnswer } from "./read-charges.js";

export type Charging = {
  readonly dataSource: DataSource;
  readonly provider: Provider;
  /** How long one call may take, in milliseconds. An attempt makes three at the most. */
  readonly timeoutMs: number;
};

/** One attempt, as it ended. */
export type ChargeAttempted = {
  readonly claim: ChargeClaim;
  readonly heard: Heard;
  readonly verdict: ChargeVerdict;
  readonly recorded: Recorded;
  /** Speaks against the provider as a whole, for its breaker. */
  readonly isFault: boolean;
  readonly durationMs: number;
};

/**
 * One attempt at one charge: claim and commit, call the provider outside any transaction, record. A crash anywhere
 * leaves the lease to the sweeper, and then the provider is asked before anything is sent again.
 * @returns null when there was nothing to do
 * @throws the database's error
 */
export async function runCharge(charging: Charging, id: ChargeId): Promise<ChargeAttempted | null> {
  const { dataSource, provider } = charging;
  const claim = await claimCharge(dataSource, id, provider.name);
  if (claim === null) return null;
  await checkpoint("charge.after-claim");
  const begun = performance.now();
  const { heard, verdict, isFault } = await decide(charging, claim);
  // What came over the network is settled like everything that came, and ends its charge in the same transaction.
  // This worker or ingest settles the credit first: the other one finds the work done.
  // A replay: what a consumer could not read once would else leave the charge open for ever.
  const movements = heard.kind === "succeeded" ? heard.movements : undefined;
  if (movements !== undefined) await withRetries(() => settle(dataSource, movements, { replay: true }));
  await checkpoint("charge.before-record");
  const recorded = await withRetries(() => recordAttempt(dataSource, claim, heard, verdict));
  return { claim, heard, verdict, recorded, isFault, durationMs: Math.round(performance.now() - begun) };
}

const TRIES = 6;

/** All of them end well within the lease. */
const AGAIN = { baseMs: 200, maxMs: 3_000 };

/**
 * Writes, and again where Postgres was away for a moment or had no connection to spare: what was heard is worth waiting
 * for, since without it the charge would be unknown until its lease is old.
 * @param write safe to repeat
 */
async function withRetries<T>(write: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await write();
    } catch (error) {
      const fault = databaseFault(error);
      const isPassing = fault === "unavailable" || fault === "conflict";
      if (!isPassing || failures + 1 >= TRIES) throw error;
      await sleep(backoffDelay(failures, Math.random(), AGAIN), new AbortController().signal);
    }
  }
}

type Decided = Pick<ChargeAttempted, "heard" | "verdict" | "isFault">;

/**
 * What an attempt hears and means. Before a charge is given up its provider is told so, where it can be: whatever was
 * sent for it and is still on some wire can't charge then, and what the provider says instead is what counts.
 */
async function decide(charging: Charging, claim: ChargeClaim): Promise<Decided> {
  const { dataSource, provider, timeoutMs } = charging;
  const { heard, isFault } = await hear(charging, claim);
  // Of an unknown charge the number of sends decides nothing.
  const { status, sends, asks } = claim;
  const isExpired = heard.kind === "declined" && heard.code === "transaction_expired";
  const lastAnswer = isExpired ? await readLastAnswer(dataSource.manager, claim.id) : null;
  const circumstances = { status, sends, asks, random: Math.random(), lastAnswer };
  const verdict = judgeAttempt(heard, circumstances);
  const isGivenUp = heard.kind === "refused" && verdict.kind === "end";
  const giveUp = provider.giveUp?.bind(provider);
  if (!isGivenUp || giveUp === undefined) return { heard, verdict, isFault };
  // This very attempt may have named it: given up without its name, nothing would be cancelled there.
  const named = { ...claim, providerId: await readName(dataSource, claim) };
  const last = await callProvider(timeoutMs, (signal) => giveUp(named, signal));
  // The provider's word ends it, and ours says why it was given up.
  if (last.kind === "declined") return { heard, verdict, isFault };
  return { heard: last, verdict: judgeAttempt(last, circumstances), isFault };
}

/** An unknown charge is asked for first; only where the provider knows of nothing it is sent again, in this lease. */
async function hear(
  charging: Charging,
  claim: ChargeClaim,
): Promise<Pick<ChargeAttempted, "heard" | "isFault">> {
  if (claim.status === "processing") {
    const heard = await send(charging, claim);
    return { heard, isFault: isFault(heard, false) };
  }
  const { dataSource, provider, timeoutMs } = charging;
  const found = await callProvider(timeoutMs, (signal) => provider.find(claim, signal));
  if (found.kind !== "absent" || !(await commitSend(dataSource, claim))) {
    return { heard: found, isFault: isFault(found, false) };
  }
  const heard = await send(charging, claim);
  return { heard, isFault: isFault(heard, true) };
}

async function send(charging: Charging, claim: ChargeClaim): Promise<Heard> {
  const { provider, timeoutMs } = charging;
  const named = claim.providerId === null ? await prepare(charging, claim) : claim;
  if ("kind" in named) return named;
  return callProvider(timeoutMs, (signal) => provider.charge(named, signal));
}

/** @returns the charge with its name at the provider, which is committed; or why there is none */
async function prepare(
  { dataSource, provider, timeoutMs }: Charging,
  claim: ChargeClaim,
): Promise<ChargeClaim | Heard> {
  const call = provider.prepare?.bind(provider);
  if (call === undefined) return claim;
  const prepared = await callProvider(timeoutMs, (signal) => call(claim, signal));
  if (prepared.kind !== "prepared") return prepared;
  const { providerId } = prepared;
  try {
    if (await commitName(dataSource, claim, providerId)) return { ...claim, providerId };
    return { kind: "unknown", detail: "another worker had taken the charge over" };
  } catch (error) {
    if (violatedConstraint(error) !== "charges_provider_id_unique") throw error;
    return { kind: "unknown", detail: `the provider calls another charge ${providerId} too` };
  }
}

type Unknown = { readonly kind: "unknown"; readonly detail: string };

/** As the database keeps it (`charges_provider_id_length`). */
const MAX_PROVIDER_ID = 255;

const MAX_DETAIL = 500;

/**
 * Calls a provider, for so long and no longer: one that does not heed its signal is left alone, and what it says later
 * is found by asking. Never throws: what a provider throws, and what can't be kept of its answer, is `unknown`.
 */
export async function callProvider<T extends { readonly kind: string }>(
  timeoutMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | Unknown> {
  await checkpoint("charge.before-call");
  const outcome = await outcomeOf(timeoutMs, call);
  await checkpoint("charge.after-call");
  return outcome;
}

async function outcomeOf<T extends { readonly kind: string }>(
  timeoutMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | Unknown> {
  const deadline = new AbortController();
  try {
    const outcome = await within(timeoutMs, call(deadline.signal), null);
    return outcome === null ? unknown(`no answer within ${timeoutMs} ms`) : keepable(outcome);
  } catch (error) {
    return unknown(error instanceof Error ? error.message : String(error));
  } finally {
    deadline.abort(new Error("the deadline is over"));
  }
}

/** Without it a name or a text that Postgres refuses would be refused again each time that the provider is asked. */
function keepable<T extends { readonly kind: string }>(outcome: T): T | Unknown {
  if ("providerId" in outcome) {
    const { providerId } = outcome;
    const fits = typeof providerId === "string" && providerId !== "" && providerId.length <= MAX_PROVIDER_ID;
    if (!fits || providerId.includes("\u0000")) return unknown("the provider's name for it can't be kept");
  }
  const texts = Object.entries(outcome).filter(([name]) => name === "detail" || name === "sentence");
  return {
    ...outcome,
    ...Object.fromEntries(texts.map(([name, text]) => [name, keepableText(String(text))])),
  };
}

function unknown(detail: string): Unknown {
  return { kind: "unknown", detail: keepableText(detail) };
}

function keepableText(text: string): string {
  return text.replaceAll("\u0000", "\uFFFD").slice(0, MAX_DETAIL);
}
