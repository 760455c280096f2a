import type { Memo } from "@stellar/stellar-sdk";
import type { Envelope } from "../envelope.js";
import { addressFields } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { resultXdr, type Verdict } from "../result.js";

/**
 * The part of Horizon's transaction record that is fixed once the ledger closed
 * (resourceadapter.PopulateTransaction). The metas are made when a record is shown: see transactionMeta.
 */
export function transactionBody(envelope: Envelope, verdict: Verdict): JsonObject {
  const { transaction } = envelope;
  const innerHash = envelope.innerHashBytes;
  return {
    ...muxedFields("source_account", "account", transaction.source),
    source_account_sequence: transaction.sequence,
    ...addressFields("fee_account", envelope.feeSource),
    fee_charged: verdict.feeCharged.toString(),
    max_fee: envelope.maxFee.toString(),
    operation_count: transaction.operations.length,
    envelope_xdr: envelope.xdr,
    result_xdr: resultXdr(verdict, innerHash),
    result_meta_xdr: "",
    fee_meta_xdr: "",
    ...memoFields(transaction.memo),
    ...preconditionFields(envelope),
  };
}

/** Signatures in base64, as records list them. */
export function signatureTexts(signatures: Envelope["outerSignatures"]): string[] {
  return signatures.map(({ signature }) => Buffer.from(signature.toBytes()).toString("base64"));
}

/** A transaction names its muxed source `account_muxed`, not `source_account_muxed`. */
function muxedFields(field: string, prefix: string, address: string): JsonObject {
  const { [field]: account = "", ...muxed } = addressFields(field, address);
  const renamed = Object.entries(muxed).map(([key, value]) => [key.replace(field, prefix), value]);
  return { [field]: account, ...Object.fromEntries(renamed) };
}

/** Text memos also as their exact bytes: `memo` is UTF-8 without NUL, which Horizon's database can't hold. */
function memoFields(memo: Memo): JsonObject {
  const { type, value } = memo;
  if (value === null) return { memo_type: "none" };
  if (type === "id") return { memo_type: type, memo: String(value) };
  const bytes = Buffer.from(value);
  if (type === "text") {
    const memo = bytes.toString("utf8").replaceAll("\0", "");
    return { memo_type: type, memo, memo_bytes: bytes.toString("base64") };
  }
  return { memo_type: type, memo: bytes.toString("base64") };
}

function preconditionFields({ transaction }: Envelope): JsonObject {
  const { timeBounds, ledgerBounds } = transaction;
  const preconditions: Record<string, JsonObject> = {};
  if (timeBounds !== undefined) {
    const { minTime, maxTime } = timeBounds;
    preconditions.timebounds = {
      min_time: minTime,
      ...(maxTime === "0" ? {} : { max_time: maxTime }),
    };
  }
  if (ledgerBounds !== undefined) {
    const { minLedger, maxLedger } = ledgerBounds;
    preconditions.ledgerbounds = {
      min_ledger: minLedger,
      ...(maxLedger === 0 ? {} : { max_ledger: maxLedger }),
    };
  }
  return Object.keys(preconditions).length === 0 ? {} : { preconditions };
}
