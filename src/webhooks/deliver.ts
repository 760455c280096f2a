import type { DataSource } from "typeorm";
import type { Dispatcher } from "undici";
import { checkpoint } from "../checkpoints.js";
import { type Claim, claimDelivery, type DeliveryKey } from "./claim-delivery.js";
import { recordAttempt } from "./record-attempt.js";
import { judge, type Verdict } from "./retry-schedule.js";
import { type LoggedAnswer, sendRequest } from "./send-request.js";
import { signedHeaders } from "./sign.js";

export type Delivering = {
  readonly dataSource: DataSource;
  /** Made by `guardedAgent`: nothing else keeps requests from private addresses. */
  readonly dispatcher: Dispatcher;
  /** For tests; 15 s by default. */
  readonly timeoutMs?: number;
};

/** One attempt, as it ended. */
export type Attempted = {
  readonly claim: Claim;
  readonly answer: LoggedAnswer;
  readonly verdict: Verdict;
  /** False when another worker had taken the delivery over meanwhile. */
  readonly recorded: boolean;
};

/**
 * One attempt at one delivery: claim and commit, send outside any transaction, record. A crash anywhere leaves the
 * delivery to be taken over: the same id and the same bytes are sent again.
 * @returns null when there was nothing to send
 * @throws the database's error
 */
export async function deliver(
  { dataSource, dispatcher, timeoutMs }: Delivering,
  key: DeliveryKey,
): Promise<Attempted | null> {
  const claim = await claimDelivery(dataSource, key);
  if (claim === null) return null;
  await checkpoint("webhook.before-send");
  const { url, body } = claim;
  const headers = signedHeaders(claim.eventId, new Date(), body, claim.secrets);
  const answer = await sendRequest({ url, headers, body }, { dispatcher, ...(timeoutMs && { timeoutMs }) });
  await checkpoint("webhook.after-send");
  const verdict = judge(answer, {
    attempt: claim.scheduleAttempt,
    failures: claim.failures,
    now: new Date(),
    random: Math.random(),
  });
  return { claim, answer, verdict, recorded: await recordAttempt(dataSource, claim, answer, verdict) };
}
