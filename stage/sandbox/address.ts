import { MuxedAccount, StrKey } from "@stellar/stellar-sdk";

/** A plain or muxed address (SEP-23) in its parts. */
export type Address = { readonly account: string; readonly muxed: string | null; readonly id: string | null };

/** Splits a `G…` or `M…` address. @throws Error when it is neither */
export function splitAddress(text: string): Address {
  if (StrKey.isValidEd25519PublicKey(text)) return { account: text, muxed: null, id: null };
  const parsed = MuxedAccount.fromAddress(text, "0");
  return { account: parsed.baseAccount().accountId(), muxed: text, id: parsed.id() };
}

/** The `G…` account behind an address. */
export function baseAccount(text: string): string {
  return text.startsWith("G") ? text : splitAddress(text).account;
}

/** `{to: G…}` and, for a muxed address, `{to_muxed: M…, to_muxed_id: "7"}` beside it, as Horizon writes it. */
export function addressFields(field: string, text: string): Record<string, string> {
  const { account, muxed, id } = splitAddress(text);
  if (muxed === null || id === null) return { [field]: account };
  return { [field]: account, [`${field}_muxed`]: muxed, [`${field}_muxed_id`]: id };
}
