import { Keypair } from "@stellar/stellar-sdk";
import type { CheckoutSession } from "../../entities/checkout-session.js";
import { muxedAddress } from "../../stellar/account.js";
import { codeOf, issuerOf } from "../../stellar/asset.js";
import { type MemoKey, memoParts } from "../../stellar/memo.js";
import { PUBLIC_NETWORK } from "../../stellar/network.js";
import { trimmedAmount } from "../../stellar/stroops.js";

/** The domain that vouches for the requests: its stellar.toml has the secret's public key. */
export type Sep7Signer = { readonly secret: string; readonly originDomain: string };

export type Sep7Options = {
  readonly networkPassphrase: string;
  /** Shown by the wallet; cut to what SEP-7 allows. */
  readonly message: string;
  /** Where a wallet may hand in the signed transaction; one that does not know of callbacks submits it itself. */
  readonly callback: string;
  readonly signer: Sep7Signer | null;
};

/** SEP-7: at most this many characters of `msg`, before encoding. */
const MAX_MESSAGE = 300;

/** The `web+stellar:pay` request of a session (SEP-7): what a wallet needs to pay it, and nothing to type. */
export function payRequest(
  session: Pick<CheckoutSession, "account" | "memoKey" | "asset" | "amount">,
  { networkPassphrase, message, callback, signer }: Sep7Options,
): string {
  const issuer = issuerOf(session.asset);
  const uri = payUri({
    destination: payAddress(session),
    amount: trimmedAmount(session.amount),
    ...(issuer !== null && { asset_code: codeOf(session.asset), asset_issuer: issuer }),
    ...memoFields(session.memoKey),
    callback: `url:${callback}`,
    // By code points: half of a surrogate pair can't be encoded.
    msg: Array.from(message).slice(0, MAX_MESSAGE).join(""),
    ...(networkPassphrase === PUBLIC_NETWORK ? {} : { network_passphrase: networkPassphrase }),
    ...(signer === null ? {} : { origin_domain: signer.originDomain }),
  });
  return signer === null ? uri : signUri(uri, signer.secret);
}

/** Where a session is paid: its account, or that account's `M…` address with the session's id inside. */
export function payAddress(session: Pick<CheckoutSession, "account" | "memoKey">): string {
  const { muxedId } = memoParts(session.memoKey);
  return muxedId === null ? session.account : muxedAddress(session.account, muxedId);
}

/** A `pay` request of these parameters, in this order; a value's bytes are kept where it is no text. */
export function payUri(fields: Readonly<Record<string, string | Uint8Array>>): string {
  const query = Object.entries(fields).map(([name, value]) => `${name}=${encode(value)}`);
  return `web+stellar:pay?${query.join("&")}`;
}

/**
 * Appends the signature of a request that already names its `origin_domain`. What is signed: 35 zero bytes, a
 * 4, `stellar.sep.7 - URI Scheme` and the request. It goes last: wallets cut it off there to verify the rest.
 */
export function signUri(uri: string, secret: string): string {
  const signature = Keypair.fromSecret(secret).sign(signedPayload(uri));
  return `${uri}&signature=${encodeURIComponent(Buffer.from(signature).toString("base64"))}`;
}

/** The bytes that a request's signature is of (SEP-7, Request Signing). */
export function signedPayload(uri: string): Buffer {
  return Buffer.concat([Buffer.alloc(35), Buffer.from([4]), Buffer.from(`stellar.sep.7 - URI Scheme${uri}`)]);
}

/** The id of a muxed session is in its destination. */
function memoFields(key: MemoKey): Record<string, string | Uint8Array> {
  const [kind, value = ""] = key.split(":");
  switch (kind) {
    case "text":
      return { memo: Buffer.from(value, "hex"), memo_type: "MEMO_TEXT" };
    case "id":
      return { memo: value, memo_type: "MEMO_ID" };
    case "hash":
    case "return":
      return { memo: Buffer.from(value, "hex").toString("base64"), memo_type: `MEMO_${kind.toUpperCase()}` };
    default:
      return {};
  }
}

function encode(value: string | Uint8Array): string {
  if (typeof value === "string") return encodeURIComponent(value);
  const text = Buffer.from(value).toString("utf8");
  // A text memo may be any bytes. Those that are no UTF-8 go as they are: a replaced one would be another memo.
  if (Buffer.from(text).equals(value)) return encodeURIComponent(text);
  return Array.from(value, (byte) => `%${byte.toString(16).padStart(2, "0").toUpperCase()}`).join("");
}
