import { Asset, Memo, Operation } from "@stellar/stellar-sdk";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { type HandedIn, handIn } from "../../src/submission/hand-in.js";
import { readEnvelope } from "../../src/submission/read-envelope.js";
import type { BuildOptions, Stage } from "../sandbox/stage.js";
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

/** The same for a session as the API shows it, by somebody new. */
export function signedForShown(session: Json, stage: Stage): string {
  const pays = Operation.payment({
    destination: session.account,
    asset: Asset.native(),
    amount: session.amount,
  });
  const options = { memo: Memo.id(session.memo.value), bounds: validFor(300) };
  return stage.build(stage.account("100"), [pays], options).toEnvelope().toXdr("base64");
}

type Options = { readonly from?: Spine["payer"]; readonly amount?: CheckoutSession["amount"] };

/** As if the network had found nothing wrong with it when it was handed in, and things had changed since. */
export async function keepUnasked(
  { database, stage }: Pick<Spine, "database" | "stage">,
  { id }: CheckoutSession,
  xdr: string,
): Promise<HandedIn["kind"]> {
  const { passphrase } = stage.network;
  const envelope = readEnvelope(xdr, passphrase);
  const { kind } = await inSerializableTransaction(database.dataSource, (runner) =>
    handIn(runner, id, envelope, { now: new Date(), passphrase }),
  );
  return kind;
}

/** As a SEP-7 wallet does. */
export async function postXdr(url: string, id: string, xdr: string, headers = {}): Promise<ApiAnswer> {
  const response = await fetch(`${url}/pay/${id}/transaction`, {
    method: "POST",
    headers,
    body: new URLSearchParams({ xdr }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
