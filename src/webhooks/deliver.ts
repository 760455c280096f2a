import DataLoader from "dataloader";
import type { DataSource } from "typeorm";
import type { Dispatcher } from "undici";
import { checkpoint } from "../checkpoints.js";
import { byHalves } from "../postgres/by-halves.js";
import { type Claim, claimDeliveries, type DeliveryKey, type Outcome, recordAttempts } from "./attempts.js";
import type { Slot } from "./fair-slots.js";
import { judge } from "./retry-schedule.js";
import type { SecretKeys } from "./secrets.js";
import { signedHeaders } from "./secrets.js";
import { sendRequest } from "./send-request.js";

/** Where deliveries are claimed, and what came of them is written. */
export type DeliveryBooks = {
  /** Null when there is nothing to send now. */
  claim(key: DeliveryKey): Promise<Claim | null>;
  /** False when another worker had taken the delivery over meanwhile. */
  record(outcome: Outcome): Promise<boolean>;
};

/**
 * One for a process: what its deliveries ask at about the same time is asked together.
 * @param secretKeys what opens the secrets that deliveries are signed with
 */
export function deliveryBooks(dataSource: DataSource, secretKeys?: SecretKeys): DeliveryBooks {
  return {
    claim: inBatches((keys: readonly DeliveryKey[]) => claimDeliveries(dataSource, keys, secretKeys)),
    record: inBatches((outcomes: readonly Outcome[]) => recordAttempts(dataSource, outcomes)),
  };
}

export type Delivering = {
  readonly books: DeliveryBooks;
  /** Made by `guardedAgent`: nothing else keeps requests from private addresses. */
  readonly dispatcher: Dispatcher;
  /** For tests; 15 s by default. */
  readonly timeoutMs?: number;
};

/** One attempt, as it ended. */
export type Attempted = Outcome & {
  /** False when another worker had taken the delivery over meanwhile. */
  readonly recorded: boolean;
};

/**
 * One attempt at one delivery: claim and commit, send outside any transaction, record. A crash anywhere leaves the
 * delivery to be taken over: the same id and the same bytes are sent again.
 * @param watch told when the request leaves, and when it has been answered
 * @returns null when there was nothing to send
 * @throws the database's error
 */
export async function deliver(
  { books, dispatcher, timeoutMs }: Delivering,
  key: DeliveryKey,
  watch?: Pick<Slot, "sending" | "answered">,
): Promise<Attempted | null> {
  const claim = await books.claim(key);
  if (claim === null) return null;
  await checkpoint("webhook.before-send");
  watch?.sending();
  const { url, body } = claim;
  const headers = signedHeaders(claim.eventId, new Date(), body, claim.secrets);
  const answer = await sendRequest({ url, headers, body }, { dispatcher, ...(timeoutMs && { timeoutMs }) });
  watch?.answered();
  await checkpoint("webhook.after-send");
  const verdict = judge(answer, {
    attempt: claim.scheduleAttempt,
    failures: claim.failures,
    now: new Date(),
    random: Math.random(),
  });
  return { claim, answer, verdict, recorded: await books.record({ claim, answer, verdict }) };
}

/** How long the first of a batch waits for others. */
const WINDOW_MS = 5;

/** Of one statement, at the most. */
const MOST = 100;

/**
 * Has what is asked for within a few milliseconds asked in one statement: a busy worker would otherwise commit twice for
 * each delivery, and wait for the disk each time. Nothing is remembered from one statement to the next.
 *
 * A statement that fails is halved, until what is to blame stands alone: without this a row of one endpoint that is refused,
 * or that somebody keeps locked, makes deliveries of all the others fail.
 * @param ask answers in the order of what was asked: an error is thrown for that one. What it throws is thrown for all of
 *   them only where the database is away
 */
export function inBatches<Asked, Answer>(
  ask: (all: readonly Asked[]) => Promise<(Answer | Error)[]>,
): (one: Asked) => Promise<Answer> {
  const loader = new DataLoader((all: readonly Asked[]) => askByHalves(ask, all), {
    cache: false,
    maxBatchSize: MOST,
    batchScheduleFn: (send) => void setTimeout(send, WINDOW_MS),
  });
  return (one) => loader.load(one);
}

async function askByHalves<Asked, Answer>(
  ask: (all: readonly Asked[]) => Promise<(Answer | Error)[]>,
  all: readonly Asked[],
): Promise<(Answer | Error)[]> {
  const { done, refused } = await byHalves([...all.entries()], async (part) => {
    const answers = await ask(part.map(([, one]) => one));
    return answers.map((answer, i) => [part[i]?.[0], answer] as const);
  });
  const byPlace = new Map(done.flat());
  for (const { item, error } of refused) {
    byPlace.set(item[0], error instanceof Error ? error : new Error(String(error)));
  }
  return all.map((_, place) => byPlace.get(place) as Answer | Error);
}
