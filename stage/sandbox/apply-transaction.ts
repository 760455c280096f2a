import { minimumFee } from "./check-transaction.js";
import { type Envelope, sourceAccount } from "./envelope.js";
import { baseAccount } from "./horizon-fields.js";
import { type Accounts, Draft } from "./ledger-state.js";
import { type BoundOperation, bind } from "./operations/dispatch.js";
import { type Applied, failed } from "./operations/rule.js";
import type { Prices } from "./prices.js";
import type { Verdict } from "./result.js";

type AppliedOperation = { readonly operation: BoundOperation; readonly applied: Applied };

export type AppliedTransaction = {
  readonly verdict: Verdict;
  readonly operations: readonly AppliedOperation[];
};

export type LedgerContext = {
  readonly accounts: Accounts;
  readonly ledger: number;
  readonly closeTime: number;
  readonly prices: Prices;
};

/**
 * Applies a transaction that passed `checkTransaction`: charges the fee and uses up the sequence number in
 * any case, then applies every operation; if one fails, all effects of all of them are undone
 * (stellar-core TransactionFrame::apply).
 * @param rules what to apply instead of the envelope's own operations (injections)
 */
export function applyTransaction(
  envelope: Envelope,
  context: LedgerContext,
  rules: readonly BoundOperation[] = bindAll(envelope),
): AppliedTransaction {
  if (isPayerGone(envelope, context)) return refusedOutside(rules);
  const feeCharged = chargeFee(envelope, context);
  const draft = new Draft(context.accounts, context.ledger, context.closeTime);
  const operations = rules.map((rule) => {
    const gone = draft.get(baseAccount(rule.source)) === undefined;
    const applied = gone ? failed("op_no_source_account") : rule.apply({ draft, prices: context.prices });
    return { operation: rule, applied };
  });
  const successful = operations.every(({ applied }) => applied.code === "op_success");
  if (successful) draft.commit();
  return {
    verdict: {
      level: envelope.isFeeBump ? "inner" : "outer",
      code: successful ? "tx_success" : "tx_failed",
      feeCharged,
      operations: operations.map(({ operation, applied }) => ({
        typeI: operation.typeI,
        code: applied.code,
        payload: applied.payload ?? {},
      })),
    },
    operations,
  };
}

/**
 * Whether who was to pay a fee bump has been merged away earlier in the same ledger: it is in the ledger all the same,
 * and the transaction inside is not tried (FeeBumpTransactionFrame::apply). The network has taken the fee before; here
 * nobody is left to pay it.
 */
export function isPayerGone(
  { isFeeBump, feeSource }: Envelope,
  { accounts }: Pick<LedgerContext, "accounts">,
) {
  return isFeeBump && !accounts.has(baseAccount(feeSource));
}

function refusedOutside(rules: readonly BoundOperation[]): AppliedTransaction {
  return {
    verdict: { level: "outer", code: "tx_no_source_account", feeCharged: 0n, operations: null },
    operations: rules.map((operation) => ({ operation, applied: failed("op_no_source_account") })),
  };
}

function bindAll(envelope: Envelope): BoundOperation[] {
  return envelope.transaction.operations.map((operation) => bind(envelope, operation));
}

/** The base fee is all that is charged: no surge pricing, so a higher bid costs no more. */
function chargeFee(envelope: Envelope, { accounts, ledger, closeTime }: LedgerContext): bigint {
  const fee = minimumFee(envelope);
  const draft = new Draft(accounts, ledger, closeTime);
  const payer = draft.get(baseAccount(envelope.feeSource));
  const source = draft.get(sourceAccount(envelope));
  if (payer === undefined || source === undefined) throw new Error("applying a transaction nobody checked");
  payer.balance -= fee;
  source.sequence = BigInt(envelope.transaction.sequence);
  source.sequenceLedger = ledger;
  source.sequenceTime = closeTime;
  draft.commit();
  return fee;
}
