import type { DataSource } from "typeorm";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { watchAccount } from "../../src/settlement/watch-account.js";
import { type Asset, NATIVE } from "../../src/stellar/asset.js";
import type { AccountId, Credit } from "../../src/stellar/credit.js";
import { idMemo, muxedId } from "../../src/stellar/memo.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import type { Json } from "./api.js";
import { aSession, creditFor, newAccount } from "./books.js";

/** Registers a fresh receiving account, without asking a network where to begin. */
export async function receivingAccount(
  dataSource: DataSource,
  merchantId: string,
  assets: readonly Asset[] = [NATIVE],
): Promise<AccountId> {
  const account = newAccount();
  await watchAccount(dataSource.manager, account, 1 as LedgerSequence);
  await dataSource.getRepository(ReceivingAccount).insert({ account, merchantId, assets: [...assets] });
  return account;
}

/** The exact payment of a session that the API answered: by id memo or muxed id, its ledger closed at creation. */
export function creditOf(session: Json, overrides: Partial<Credit> = {}): Credit {
  const stored: CheckoutSession = aSession(
    { account: session.account, merchantId: session.merchant_id },
    {
      amount: parseStroops(session.amount),
      asset: session.asset,
      memoKey: session.memo === null ? muxedId(session.muxed_id) : idMemo(session.memo.value),
    },
  );
  return creditFor(stored, { closedAt: new Date(session.created_at), ...overrides });
}
