import type { DataSource } from "typeorm";
import type { HorizonClient } from "../horizon/client.js";
import { HorizonError } from "../horizon/errors.js";
import { readReceivingState } from "../horizon/receiving-state.js";
import { eachOf } from "../recovery/repair.js";
import { recordReceivingState } from "../settlement/watch-account.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";

export type ReceivingWatch = {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  /** How long an account is left alone after it was asked for, for tests; 4 min by default. */
  readonly againAfterMs?: number;
};

/** With a run each minute 600 requests an hour at the most, a sixth of what a public server allows. */
export const MOST_A_RUN = 10;

const ASK_WITHIN_MS = 5_000;

const AGAIN_AFTER_MS = 240_000;

/** An account that can't be paid is asked about so many times more often: the operator's status is red meanwhile. */
const SOONER = 4;

/**
 * The accounts whose turn it is, those that were asked for longest ago first. They are stamped before they are asked
 * for: one that always fails must not stand in front of the others in every run.
 */
const TAKE = `
  UPDATE receiving_accounts SET asked_at = now()
  WHERE account IN (
    SELECT account FROM receiving_accounts a
    WHERE asked_at IS NULL OR asked_at <= now() - $1 * interval '1 millisecond'
      OR (asked_at <= now() - $2 * interval '1 millisecond' AND EXISTS (
        SELECT FROM receiving_states s WHERE s.account = a.account AND s.obstacle IS NOT NULL))
    ORDER BY asked_at NULLS FIRST, account LIMIT ${MOST_A_RUN} FOR UPDATE SKIP LOCKED)
  RETURNING account, assets`;

/**
 * Asks the network whether receiving accounts can be paid, and keeps the answers for the status and the checkout page.
 * Safe to run twice at once. One whose answer can't be kept keeps no other from being asked for.
 * @throws the signal's reason; the database's error when it can't serve; Error that tells how many failed, once all were
 *   tried
 */
export async function checkReceivingAccounts(
  { dataSource, horizon, againAfterMs = AGAIN_AFTER_MS }: ReceivingWatch,
  signal: AbortSignal,
): Promise<{ checked: number; unpayable: number; unanswered: number }> {
  const [taken]: [{ account: AccountId; assets: Asset[] }[], number] = await dataSource.query(TAKE, [
    againAfterMs,
    againAfterMs / SOONER,
  ]);
  const count = { checked: 0, unpayable: 0, unanswered: 0 };
  await eachOf({ horizon, signal }, taken, async ({ account, assets }) => {
    const state = await stateOf(account, horizon, signal);
    if (state === null) {
      count.unanswered++;
      return;
    }
    const obstacles = await recordReceivingState(dataSource.manager, account, assets, state);
    count.checked++;
    if (obstacles.length > 0) count.unpayable++;
  });
  return count;
}

/** @returns null where Horizon gives no answer: what was known of the account stays */
async function stateOf(account: AccountId, horizon: HorizonClient, signal: AbortSignal) {
  try {
    return await readReceivingState(
      horizon,
      account,
      AbortSignal.any([signal, AbortSignal.timeout(ASK_WITHIN_MS)]),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HorizonError || (error as Error).name === "TimeoutError") return null;
    throw error;
  }
}
