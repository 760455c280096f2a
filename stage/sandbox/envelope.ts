import { FeeBumpTransaction, type Transaction, TransactionBuilder, type xdr } from "@stellar/stellar-sdk";
import { baseAccount } from "./horizon-fields.js";

export type Operation = Transaction["operations"][number];

/** A transaction envelope, fee bump or not, read once. */
export type Envelope = {
  readonly xdr: string;
  /** Of the outer transaction, hex. */
  readonly hash: string;
  readonly hashBytes: Uint8Array;
  readonly innerHashBytes: Uint8Array | null;
  /** The address that pays the fee, possibly muxed. */
  readonly feeSource: string;
  /** Most that the fee source pays, in stroops. */
  readonly maxFee: bigint;
  /** What of it is bid for a contract's resources, not for a place in the ledger. */
  readonly resourceFee: bigint;
  readonly transaction: Transaction;
  readonly outerSignatures: readonly xdr.DecoratedSignature[];
  readonly isFeeBump: boolean;
};

/**
 * Reads base64 XDR.
 * @throws Error when it is no envelope
 */
export function readEnvelope(text: string, passphrase: string): Envelope {
  const parsed = TransactionBuilder.fromXdr(text, passphrase);
  const bump = parsed instanceof FeeBumpTransaction;
  const transaction = bump ? parsed.innerTransaction : parsed;
  const hashBytes = parsed.hash();
  return {
    xdr: text,
    hash: Buffer.from(hashBytes).toString("hex"),
    hashBytes,
    innerHashBytes: bump ? transaction.hash() : null,
    feeSource: bump ? parsed.feeSource : transaction.source,
    maxFee: BigInt(parsed.fee),
    resourceFee: resourceFeeOf(transaction),
    transaction,
    outerSignatures: parsed.signatures,
    isFeeBump: bump,
  };
}

function resourceFeeOf(transaction: Transaction): bigint {
  if (transaction.operations[0]?.type !== "invokeHostFunction") return 0n;
  const envelope = transaction.toEnvelope();
  if (envelope.type !== "envelopeTypeTx") return 0n;
  const { ext } = envelope.v1.tx;
  return ext.type === "sorobanData" ? ext.sorobanData.resourceFee : 0n;
}

/** The `G…` account whose sequence number the envelope uses. */
export function sourceAccount(envelope: Envelope): string {
  return baseAccount(envelope.transaction.source);
}

/** The address an operation acts for: its own source or the transaction's. */
export function operationSource(envelope: Envelope, operation: Operation): string {
  return operation.source ?? envelope.transaction.source;
}
