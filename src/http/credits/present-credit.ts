import type { z } from "zod";
import type { CreditFacts, CreditFilter, Verdict } from "../../entities/credit-facts.js";
import type { ExceptionFilter, ExceptionRecord } from "../../settlement/read-exceptions.js";
import type { PaymentFilter, PaymentRecord } from "../../settlement/read-payments.js";
import { creditKeyText } from "../../stellar/credit.js";
import { memoParts } from "../../stellar/memo.js";
import { formatStroops } from "../../stellar/stroops.js";
import type { CreditQuery, Exception, ExceptionQuery, Payment, PaymentQuery } from "./credit.js";

export function presentPayment(payment: PaymentRecord): z.output<typeof Payment> {
  const { transactionHash, asset, amount, closedAt } = payment;
  if (!transactionHash || !asset || amount === null || closedAt === null) {
    throw new Error(`payment ${creditKeyText(payment)} was never read`);
  }
  return {
    ...presentFacts(payment),
    session_id: payment.sessionId,
    charge_id: payment.chargeId,
    transaction_hash: transactionHash,
    asset,
    amount: formatStroops(amount),
    surplus: formatStroops(payment.surplus),
    closed_at: closedAt.toISOString(),
    settled_at: payment.settledAt.toISOString(),
    verdict: presentVerdict(payment.verdict),
  };
}

export function presentException(exception: ExceptionRecord): z.output<typeof Exception> {
  return {
    ...presentFacts(exception),
    reason: exception.reason,
    detail: exception.detail,
    session_id: exception.sessionId,
    transaction_hash: exception.transactionHash,
    asset: exception.asset,
    amount: exception.amount === null ? null : formatStroops(exception.amount),
    closed_at: exception.closedAt?.toISOString() ?? null,
    raised_at: exception.raisedAt.toISOString(),
    open: exception.verdict === null,
    verdict: presentVerdict(exception.verdict),
  };
}

/** What a list or an export of payments asks the database for. */
export function paymentFilter(query: z.output<typeof PaymentQuery>): PaymentFilter {
  return { ...creditFilter(query), chargeId: query.charge_id };
}

export function exceptionFilter(query: z.output<typeof ExceptionQuery>): ExceptionFilter {
  return { ...creditFilter(query), reason: query.reason, open: query.open };
}

function creditFilter(query: z.output<typeof CreditQuery>): CreditFilter {
  return {
    sessionId: query.session_id,
    transactionHash: query.transaction_hash,
    sender: query.from,
    account: query.account,
    asset: query.asset,
    closedAfter: query.closed_after,
    closedBefore: query.closed_before,
  };
}

function presentFacts(credit: CreditFacts) {
  return {
    key: creditKeyText(credit),
    account: credit.account,
    from: credit.from,
    memo: credit.memo === null ? null : memoParts(credit.memo).memo,
    muxed_id: credit.muxed === null ? null : memoParts(credit.muxed).muxedId,
  };
}

function presentVerdict(verdict: Verdict | null) {
  return (
    verdict && {
      verdict: verdict.verdict,
      note: verdict.note,
      decided_by: verdict.decidedBy,
      decided_at: verdict.decidedAt.toISOString(),
    }
  );
}
