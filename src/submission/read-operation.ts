import { type Asset as SdkAsset, StrKey, type Transaction } from "@stellar/stellar-sdk";
import { type Asset, NATIVE, parseAsset } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import { type MemoKey, muxedId } from "../stellar/memo.js";
import { parseStroops, type Stroops } from "../stellar/stroops.js";
import { EnvelopeError } from "./envelope-error.js";

/** An operation, as far as it says what it brings to whom. */
export type ReadOperation = {
  /** By Horizon's name, such as `path_payment_strict_receive`. */
  readonly type: string;
  /** The account it acts for: its own source or the transaction's. */
  readonly source: AccountId;
  /** The account that is paid, by every type that names one. */
  readonly destination: AccountId | null;
  /** The id in the `M…` address that is paid. */
  readonly muxed: MemoKey | null;
  /** What will arrive, greater than 0; null where the envelope does not say. */
  readonly brings: { readonly asset: Asset; readonly amount: Stroops } | null;
  /** Whom a clawback takes from. */
  readonly takesFrom: AccountId | null;
};

type Operation = Transaction["operations"][number];

/**
 * @param transactionSource the source of the transaction, `G…` or `M…`
 * @throws EnvelopeError `bad_operation`
 */
export function readOperation(operation: Operation, transactionSource: string): ReadOperation {
  const base = {
    type: operation.type.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    source: splitAddress(operation.source ?? transactionSource).account,
    destination: null,
    muxed: null,
    brings: null,
    takesFrom: null,
  };
  switch (operation.type) {
    case "payment":
      return { ...base, ...paid(operation.destination), brings: arriving(operation.asset, operation.amount) };
    case "pathPaymentStrictReceive":
      return {
        ...base,
        ...paid(operation.destination),
        brings: arriving(operation.destAsset, operation.destAmount),
      };
    case "pathPaymentStrictSend":
    case "createAccount":
    case "accountMerge":
      return { ...base, ...paid(operation.destination) };
    case "clawback":
      return { ...base, takesFrom: splitAddress(operation.from).account };
    default:
      return base;
  }
}

/** Takes a `G…` or `M…` address apart (SEP-23). */
export function splitAddress(address: string): { account: AccountId; muxed: MemoKey | null } {
  if (!address.startsWith("M")) return { account: address as AccountId, muxed: null };
  const bytes = Buffer.from(StrKey.decodeMed25519PublicKey(address));
  return {
    account: StrKey.encodeEd25519PublicKey(bytes.subarray(0, 32)) as AccountId,
    muxed: muxedId(bytes.readBigUInt64BE(32)),
  };
}

function paid(address: string): Pick<ReadOperation, "destination" | "muxed"> {
  const { account, muxed } = splitAddress(address);
  return { destination: account, muxed };
}

function arriving(asset: SdkAsset, text: string): { asset: Asset; amount: Stroops } {
  // XDR can hold negative amounts: one of them would make up for a payment that is too large.
  if (text.startsWith("-") || /^[0.]*$/.test(text)) {
    throw new EnvelopeError("bad_operation", `a payment of ${text}: the network takes no such operation`);
  }
  return { asset: canonical(asset), amount: parseStroops(text) };
}

/** Canonical text. A short code in the long form would read as another asset, and is one that the network refuses. */
function canonical(asset: SdkAsset): Asset {
  if (asset.isNative()) return NATIVE;
  const code = asset.getCode();
  const form = code.length <= 4 ? "assetTypeCreditAlphanum4" : "assetTypeCreditAlphanum12";
  if (asset.toXdrObject().type !== form) {
    throw new EnvelopeError("bad_operation", `the code ${code} in the form of another length is no asset`);
  }
  return parseAsset(`${code}:${asset.getIssuer()}`);
}
