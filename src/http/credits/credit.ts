import { z } from "zod";
import {
  type CreditFacts,
  type CreditFilter,
  EXCEPTION_REASONS,
  VERDICTS,
  type Verdict,
} from "../../entities/credit.js";
import type { ExceptionFilter, ExceptionRecord } from "../../settlement/read-exceptions.js";
import type { PaymentFilter, PaymentRecord } from "../../settlement/read-payments.js";
import { CREDIT_KEY_FORM, type CreditKey, creditKeyText, parseCreditKey } from "../../stellar/credit.js";
import { memoParts } from "../../stellar/memo.js";
import { formatStroops } from "../../stellar/stroops.js";
import { Paging } from "../server/paging.js";
import {
  Account,
  Amount,
  AssetText,
  Id,
  MemoBody,
  Moment,
  NOT_BLANK,
  Time,
  TrueOrFalse,
} from "../server/values.js";

const CreditKeyText = z
  .string()
  .refine(
    (text) => parseCreditKey(text) !== null,
    "a credit's key is its operation id and the index of the move, such as 257698037764097-0",
  )
  .transform((text) => parseCreditKey(text) as CreditKey)
  .meta({ override: { type: "string", pattern: CREDIT_KEY_FORM.source }, example: "257698037764097-0" });

export const OneCredit = z.object({ key: CreditKeyText });

const VerdictBody = z
  .object({
    verdict: z.enum(VERDICTS),
    note: z.string(),
    decided_by: z.string().meta({ description: "The beginning of an API key, or operator:<user>." }),
    decided_at: Time,
  })
  .meta({ id: "Verdict" });

const facts = {
  key: z.string().meta({ example: "257698037764097-0" }),
  account: z.string(),
  from: z.string().nullable().meta({ description: "Who sent it; null where the network names nobody." }),
  memo: MemoBody.nullable(),
  muxed_id: z.string().nullable(),
};

export const Payment = z
  .object({
    ...facts,
    session_id: Id.nullable().meta({
      description: "The session that it settled; null where it paid a charge.",
    }),
    charge_id: Id.nullable().meta({
      description: "The charge that it paid; its transaction may pay in several payments.",
    }),
    transaction_hash: z.string(),
    asset: z.string(),
    amount: Amount,
    surplus: Amount.meta({ description: "What came beyond the session's amount." }),
    closed_at: Time.meta({ description: "Close time of the ledger." }),
    settled_at: Time,
    verdict: VerdictBody.nullable().meta({ description: "Set where an exception was accepted." }),
  })
  .meta({ id: "Payment" });

export const Exception = z
  .object({
    ...facts,
    reason: z.enum(EXCEPTION_REASONS),
    detail: z.string(),
    session_id: Id.nullable(),
    transaction_hash: z.string().nullable(),
    asset: z.string().nullable(),
    amount: Amount.nullable().meta({ description: "Null where nobody could read it." }),
    closed_at: Time.nullable(),
    raised_at: Time,
    open: z.boolean().meta({ description: "Whether it waits for a verdict." }),
    verdict: VerdictBody.nullable(),
  })
  .meta({ id: "Exception" });

export const CreditQuery = z.strictObject({
  session_id: Id.optional(),
  transaction_hash: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, "a hash is 64 hex digits")
    .transform((text) => text.toLowerCase())
    .optional()
    .meta({ override: { type: "string", pattern: "^[0-9a-fA-F]{64}$" } }),
  from: z.string().max(69, "a sender is an address").optional(),
  account: Account.optional(),
  asset: AssetText.optional(),
  closed_after: Moment.optional(),
  closed_before: Moment.optional(),
});

export const PaymentQuery = CreditQuery.extend({ charge_id: Id.optional() });

export const ExceptionQuery = CreditQuery.extend({
  reason: z.enum(EXCEPTION_REASONS).optional(),
  open: TrueOrFalse.optional().meta({
    description: "Only those that wait for a verdict, or only those that have one.",
  }),
});

export const PaymentList = Paging.extend(PaymentQuery.shape);
export const ExceptionList = Paging.extend(ExceptionQuery.shape);

export const VerdictRequest = z.strictObject({
  verdict: z.enum(VERDICTS).meta({
    description:
      "`accept`: a late or short credit pays its session. `refund`: its amount is owed to its sender. `dismiss`: nothing is to be done.",
  }),
  note: z
    .string()
    .trim()
    .min(1, "say why, in 1 to 1000 characters")
    .max(1000, "say why, in 1 to 1000 characters")
    .meta({ override: NOT_BLANK, description: "Why. Kept with the verdict." }),
});

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

/** A verdict's fields beside those of its credit, where a line has no room for an object: a file, a list of the CLI. */
export function verdictFields(verdict: ReturnType<typeof presentVerdict>) {
  return verdict ?? { verdict: null, note: null, decided_by: null, decided_at: null };
}
