import { xdr } from "@stellar/stellar-sdk";
import { BASE_FEE } from "./ledger-state.js";
import {
  type OperationCode,
  operationCodeNumber,
  TRANSACTION_CODES,
  type TransactionCode,
} from "./result-codes.js";

export type OperationResult = {
  readonly typeI: number;
  readonly code: OperationCode;
  /** What the XDR carries beside the code, in the SDK's wire form. */
  readonly payload?: Readonly<Record<string, unknown>>;
};

/** What became of a transaction, before it is written as XDR or as Horizon's names. */
export type Verdict = {
  /** For a fee bump, whether the code is the outer envelope's or the inner transaction's. */
  readonly level: "outer" | "inner";
  readonly code: TransactionCode;
  readonly feeCharged: bigint;
  /** Only with tx_success and tx_failed: one per operation. */
  readonly operations: readonly OperationResult[] | null;
};

/** `extras.result_codes` of Horizon's transaction_failed. */
export type ResultCodes = {
  readonly transaction: string;
  readonly inner_transaction?: string;
  readonly operations?: readonly string[];
};

export function resultCodes(verdict: Verdict): ResultCodes {
  const operations = verdict.operations?.map((operation) => operation.code);
  const codes: ResultCodes =
    verdict.level === "outer"
      ? { transaction: verdict.code }
      : { transaction: outerCode(verdict), inner_transaction: verdict.code };
  return operations === undefined || operations.length === 0 ? codes : { ...codes, operations };
}

/** Genuine base64 TransactionResult. `innerHash` is the inner transaction's, for fee bumps. */
export function resultXdr(verdict: Verdict, innerHash: Uint8Array | null): string {
  const body = codeWire(verdict);
  const result =
    verdict.level === "outer" || innerHash === null
      ? body
      : {
          code: TRANSACTION_CODES[outerCode(verdict)],
          innerResultPair: {
            transactionHash: innerHash,
            // A fee bump counts as one operation more than what is in it.
            result: { feeCharged: verdict.feeCharged - BASE_FEE, result: body, ext: { v: 0 } },
          },
        };
  // The wire type is a union over every code; the tables above are what proves that ours fit it.
  const wire = { feeCharged: verdict.feeCharged, result, ext: { v: 0 } } as unknown as ResultWire;
  return xdr.TransactionResult.fromXdrObject(wire).toXdr("base64");
}

type ResultWire = Parameters<typeof xdr.TransactionResult.fromXdrObject>[0];

function outerCode(verdict: Verdict): TransactionCode {
  return verdict.code === "tx_success" ? "tx_fee_bump_inner_success" : "tx_fee_bump_inner_failed";
}

function codeWire(verdict: Verdict): Record<string, unknown> {
  const code = TRANSACTION_CODES[verdict.code];
  if (verdict.operations === null) return { code };
  return { code, results: verdict.operations.map(operationWire) };
}

function operationWire(operation: OperationResult): Record<string, unknown> {
  const number = operationCodeNumber(operation.typeI, operation.code);
  if ("outer" in number) return { code: number.outer };
  const inner = { code: number.inner, ...(number.inner === 0 ? operation.payload : undefined) };
  return { code: 0, tr: { type: operation.typeI, [number.field]: inner } };
}
