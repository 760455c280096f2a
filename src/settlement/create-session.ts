import type { EntityManager } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { CheckoutSession, type SessionId } from "../entities/checkout-session.js";
import { databaseFault, violatedConstraint } from "../postgres/database-errors.js";
import type { Asset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import type { MemoKey } from "../stellar/memo.js";
import { parseOperationId } from "../stellar/operation-id.js";
import type { Stroops } from "../stellar/stroops.js";

export type SessionRequest = {
  readonly merchantId: string;
  readonly account: AccountId;
  /** What the payer will attach: unique on the account. */
  readonly memoKey: MemoKey;
  readonly asset: Asset;
  readonly amount: Stroops;
  readonly expiresAt: Date;
  readonly graceSeconds?: number;
  readonly successUrl?: string | null;
  readonly cancelUrl?: string | null;
  /** At most 8 KiB as JSON. */
  readonly metadata?: Readonly<Record<string, string>>;
};

/** The one refusal that no constraint makes: what an account accepts is the merchant's wish, and may change. */
const ASSET_NOT_ALLOWED = "asset_not_allowed";

/** Why a session can't be created, by the constraint that says so: words for whoever asked. */
const REFUSALS: Readonly<Record<string, string>> = {
  sessions_reference_unique_per_account:
    "another session of this account has the same memo: an id memo, a muxed id and a text memo of the same number are one",
  sessions_reference_is_no_charges: "a charge of this account has the same memo",
  sessions_account_is_the_merchants:
    "the receiving account is not registered for this merchant: register it first",
  sessions_account_is_watched: "the receiving account is not watched: register it first",
  sessions_merchant_exists: "there is no such merchant",
  sessions_asset_has_issuer: "the asset must be native or CODE:ISSUER",
  sessions_amount_positive: "the amount must be greater than zero",
  sessions_memo_key_canonical: "the memo must be text of 1 to 28 bytes, an id, a 32-byte hash, or a muxed id",
  [ASSET_NOT_ALLOWED]: "the receiving account is not registered for this asset",
  sessions_metadata_is_small_object: "metadata is an object of at most 8 KiB",
  sessions_grace_in_range: "the grace is between 0 seconds and 30 days",
};

export class SessionRefusedError extends Error {
  override readonly name = "SessionRefusedError";

  /** @param constraint the constraint that refused it, for callers that tell the cases apart */
  constructor(
    readonly constraint: string,
    message: string,
  ) {
    super(message);
  }
}

/** The watermark tells recovery where to begin to look for the session's credit, without asking any clock. */
const READ_ACCOUNT = `
  SELECT c.watermark, a.merchant_id, a.assets
  FROM watched_cursors c LEFT JOIN receiving_accounts a USING (account)
  WHERE c.account = $1`;

type AccountRow = { watermark: string; merchant_id: string | null; assets: Asset[] | null };

/**
 * Creates a pending session, in one INSERT: what it must fulfil is checked by the constraints.
 * @throws SessionRefusedError where one of them refuses it
 */
export async function createSession(
  manager: EntityManager,
  request: SessionRequest,
): Promise<CheckoutSession> {
  const id = uuidv7() as SessionId;
  const [account]: AccountRow[] = await manager.query(READ_ACCOUNT, [request.account]);
  if (account?.merchant_id === request.merchantId && !account.assets?.includes(request.asset)) {
    throw refusal(ASSET_NOT_ALLOWED);
  }
  const payableAfter = parseOperationId(account?.watermark ?? "0");
  try {
    await manager.insert(CheckoutSession, { id, ...request, payableAfter });
  } catch (error) {
    const constraint = violatedConstraint(error);
    if (databaseFault(error) !== "rejected" || constraint === null) throw error;
    throw refusal(constraint);
  }
  return manager.findOneByOrFail(CheckoutSession, { id });
}

function refusal(constraint: string): SessionRefusedError {
  return new SessionRefusedError(constraint, REFUSALS[constraint] ?? `refused by ${constraint}`);
}
