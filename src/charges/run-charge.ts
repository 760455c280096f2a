import type { DataSource } from "typeorm";
import { backoffDelay, sleep, within } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";
import type { ChargeId } from "../entities/charge.js";
import { databaseFault, violatedConstraint } from "../postgres/database-errors.js";
import type { FindOutcome, Provider } from "../providers/provider.js";
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
import { type ChargeVerdict, type Heard, judgeAttempt, speaksAgainst } from "./judge-attempt.js";

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
  const { dataSource, provider, timeoutMs } = charging;
  const claim = await claimCharge(dataSource, id, provider.name);
  if (claim === null) return null;
  await checkpoint("charge.after-claim");
  const begun = performance.now();
  // An unknown charge is asked for first; only where the provider knows of nothing it is sent again, in this lease.
  const found =
    claim.status === "unknown"
      ? await callProvider(timeoutMs, (signal) => provider.find(claim, signal))
      : null;
  let heard: Heard | null = found;
  if (heard === null || (heard.kind === "absent" && (await commitSend(dataSource, claim)))) {
    const named = await nameCharge(charging, claim);
    heard =
      "kind" in named ? named : await callProvider(timeoutMs, (signal) => provider.charge(named, signal));
  }
  const isFault = speaksAgainst(heard, found !== null && heard !== found);
  // Of an unknown charge the number of sends decides nothing.
  const { status, sends, asks } = claim;
  const circumstances = { status, sends, asks, random: Math.random() };
  let verdict = judgeAttempt(heard, circumstances);
  if (heard.kind === "refused" && verdict.kind === "end") {
    const last = await giveUp(charging, claim);
    // The provider's word ends it, and ours says why it was given up.
    if (last !== null && last.kind !== "declined") {
      heard = last;
      verdict = judgeAttempt(last, circumstances);
    }
  }
  // What came over the network is settled like everything that came, and ends its charge in the same transaction.
  // This worker or ingest settles the credit first: the other one finds the work done.
  // A replay: what a consumer could not read once would else leave the charge open for ever.
  const movements = heard.kind === "succeeded" ? heard.movements : undefined;
  if (movements !== undefined) await withRetries(() => settle(dataSource, movements, { replay: true }));
  await checkpoint("charge.before-record");
  const said = heard;
  const recorded = await withRetries(() => recordAttempt(dataSource, claim, said, verdict));
  return { claim, heard, verdict, recorded, isFault, durationMs: Math.round(performance.now() - begun) };
}

/**
 * Has the provider name a charge that has no name there yet, and commits that name before anything is sent under it.
 * @returns the charge with its name; or why there is none
 */
async function nameCharge(
  { dataSource, provider, timeoutMs }: Charging,
  claim: ChargeClaim,
): Promise<ChargeClaim | Heard> {
  const prepare = provider.prepare?.bind(provider);
  if (prepare === undefined || claim.providerId !== null) return claim;
  const prepared = await callProvider(timeoutMs, (signal) => prepare(claim, signal));
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

/**
 * Before a charge is given up its provider is told so, where it can be: whatever was sent for it and is still on some
 * wire can't charge then, and what the provider says instead is what counts.
 */
async function giveUp(
  { dataSource, provider, timeoutMs }: Charging,
  claim: ChargeClaim,
): Promise<FindOutcome | null> {
  const call = provider.giveUp?.bind(provider);
  if (call === undefined) return null;
  // This very attempt may have named it: given up without its name, nothing would be cancelled there.
  const named = { ...claim, providerId: await readName(dataSource, claim) };
  return callProvider(timeoutMs, (signal) => call(named, signal));
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
