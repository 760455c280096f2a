import { Account, Asset, Keypair, Memo, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import type { BuildOptions } from "../sandbox/stage.js";
import type { ApiAnswer, Json } from "./api.js";
import { paymentOf } from "./ingest.js";
import type { Spine } from "./spine.js";

export type Signed = { readonly hash: string; readonly xdr: string };

/** The times between which a wallet's transaction is valid: from now on for so many seconds. */
export function validFor(seconds: number): { minTime: number; maxTime: number } {
  return { minTime: 0, maxTime: Math.floor(Date.now() / 1000) + seconds };
}

/** A session's payment as a wallet signs it, good for five minutes. Nobody has sent it. */
export function signedFor(
  { stage, payer }: Spine,
  session: CheckoutSession,
  { from = payer, amount = session.amount, ...options }: BuildOptions & Options = {},
): Signed {
  const { operation, memo } = paymentOf(session, amount);
  const transaction = stage.build(from, [operation], { memo, bounds: validFor(300), ...options });
  return {
    hash: Buffer.from(transaction.hash()).toString("hex"),
    xdr: transaction.toEnvelope().toXdr("base64"),
  };
}

/** The same for a session as the API shows it, by a payer who need not exist. */
export function signedForShown(session: Json, networkPassphrase: string, payer = Keypair.random()): string {
  const transaction = new TransactionBuilder(new Account(payer.publicKey(), "0"), {
    fee: "100",
    networkPassphrase,
    timebounds: validFor(300),
    memo: Memo.id(session.memo.value),
  })
    .addOperation(
      Operation.payment({ destination: session.account, asset: Asset.native(), amount: session.amount }),
    )
    .build();
  transaction.sign(payer);
  return transaction.toEnvelope().toXdr("base64");
}

type Options = { readonly from?: Spine["payer"]; readonly amount?: CheckoutSession["amount"] };

/** As a SEP-7 wallet does. */
export async function postXdr(url: string, id: string, xdr: string, headers = {}): Promise<ApiAnswer> {
  const response = await fetch(`${url}/pay/${id}/transaction`, {
    method: "POST",
    headers,
    body: new URLSearchParams({ xdr }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
