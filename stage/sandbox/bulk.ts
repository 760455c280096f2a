import { Account, Memo, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import { parseAsset } from "../../src/stellar/asset.js";
import { sdkAsset } from "./horizon-fields.js";
import type { SandboxNetwork } from "./network.js";

export type BulkPayment = {
  /** Whose money moves, without asking them; the root account when left out. */
  readonly from?: string | undefined;
  /** `G…` or `M…`. */
  readonly to: string;
  readonly amount: string;
  readonly asset?: string | undefined;
  readonly memo?: string | undefined;
};

/**
 * Queues many payments for the next ledger, one transaction each, **unsigned and without checking any
 * signature**: load for tests, thousands a second. All else holds: sequence numbers, balances, trustlines.
 * @returns the transaction hashes, in order
 * @throws Error when a payment would not be queued; those before it are
 */
export function appendPaymentsUnchecked(network: SandboxNetwork, payments: readonly BulkPayment[]): string[] {
  return payments.map((payment) => {
    const from = payment.from ?? network.root.publicKey();
    const sequence = network.sequenceOf(from);
    if (sequence === null) throw new Error(`no account ${from}`);
    const builder = new TransactionBuilder(new Account(from, sequence.toString()), {
      fee: "100",
      networkPassphrase: network.passphrase,
    });
    const asset = sdkAsset(parseAsset(payment.asset ?? "native"));
    builder.addOperation(Operation.payment({ destination: payment.to, asset, amount: payment.amount }));
    if (payment.memo !== undefined) builder.addMemo(Memo.text(payment.memo));
    const submission = network.submit(builder.setTimeout(0).build().toEnvelope().toXdr("base64"), false);
    if (submission.kind !== "queued") throw new Error(`payment to ${payment.to} ${submission.kind}`);
    return submission.envelope.hash;
  });
}
