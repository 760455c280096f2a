import { setTimeout } from "node:timers/promises";
import { Memo } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { CheckoutSession, type SessionId } from "../../src/entities/checkout-session.js";
import type { MemoKey } from "../../src/stellar/memo.js";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import type { CustomerPaid } from "../sandbox/customers.js";
import { sdkAsset } from "../sandbox/horizon-fields.js";
import { demoCustomers } from "./demo-merchant.js";

export class NoSuchSessionError extends Error {
  override readonly name = "NoSuchSessionError";
}

/**
 * A customer of the sandbox pays a session, as its payment request says: for whoever tries the API by hand.
 * @param amount what they pay; the session's own amount when left out
 * @returns once the payment is in a closed ledger
 * @throws NoSuchSessionError
 */
export async function paySession(
  dataSource: DataSource,
  id: SessionId,
  network: { readonly horizonUrl: string; readonly passphrase: string },
  amount?: Stroops,
): Promise<CustomerPaid> {
  const session = await dataSource.manager.findOneBy(CheckoutSession, { id });
  if (session === null) throw new NoSuchSessionError(`there is no session ${id}`);
  const customers = demoCustomers(network.horizonUrl, network.passphrase);
  // Somebody of their own: two programs that send from one account get into each other's way.
  const payer = customers.key("walk-in customer");
  await customers.create(payer.publicKey());
  const asset = sdkAsset(session.asset);
  if (!asset.isNative() && (await customers.balance(payer.publicKey(), asset)) === null) {
    await customers.trust(payer, asset);
    await customers.give(payer.publicKey(), asset);
  }
  return customers.pay({
    payer,
    destination: session.account,
    amount: formatStroops(amount ?? session.amount),
    asset,
    ...sdkMemoOf(session.memoKey),
  });
}

/** Far longer than ingest, stream and settlement take together. */
const SETTLED_WITHIN_MS = 15_000;

const FIND = `
  SELECT c.outcome, e.reason FROM credits c LEFT JOIN payment_exceptions e USING (operation_id, move_index)
  WHERE c.transaction_hash = $1`;

/**
 * Waits until a transaction's credit is settled.
 * @returns what became of it, in words; null when nothing did for a while
 */
export async function whatBecameOf(
  dataSource: DataSource,
  id: SessionId,
  hash: string,
): Promise<string | null> {
  const deadline = performance.now() + SETTLED_WITHIN_MS;
  while (performance.now() < deadline) {
    const [row]: { outcome: string; reason: string | null }[] = await dataSource.query(FIND, [hash]);
    if (row !== undefined)
      return row.reason === null ? `session ${id} is paid` : `not counted: ${row.reason}`;
    await setTimeout(100);
  }
  return null;
}

/** What a customer attaches so that the payment is known to be for the session. */
export function sdkMemoOf(memoKey: MemoKey): { memo?: Memo; muxedId?: string } {
  const [kind, value = ""] = memoKey.split(":");
  switch (kind) {
    case "text":
      return { memo: Memo.text(Buffer.from(value, "hex").toString()) };
    case "id":
      return { memo: Memo.id(value) };
    case "hash":
      return { memo: Memo.hash(value) };
    case "return":
      return { memo: Memo.return(value) };
    default:
      return { muxedId: value };
  }
}
