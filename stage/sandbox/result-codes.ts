/**
 * Result codes: how the network numbers them (XDR) and how Horizon names them
 * (stellar-horizon internal/codes). The table holds what the sandbox can answer.
 */

/** By type number: the field that holds the inner result in XDR, and each code's number. */
const OPERATION_CODES = {
  0: [
    "createAccountResult",
    { op_success: 0, op_malformed: -1, op_underfunded: -2, op_low_reserve: -3, op_already_exists: -4 },
  ],
  1: [
    "paymentResult",
    {
      op_success: 0,
      op_malformed: -1,
      op_underfunded: -2,
      op_src_no_trust: -3,
      op_src_not_authorized: -4,
      op_no_destination: -5,
      op_no_trust: -6,
      op_not_authorized: -7,
      op_line_full: -8,
      op_no_issuer: -9,
    },
  ],
  2: ["pathPaymentStrictReceiveResult", { ...pathCodes(), op_over_source_max: -12 }],
  5: [
    "setOptionsResult",
    {
      op_success: 0,
      op_low_reserve: -1,
      op_too_many_signers: -2,
      op_bad_flags: -3,
      op_invalid_inflation: -4,
      op_cant_change: -5,
      op_unknown_flag: -6,
      op_threshold_out_of_range: -7,
      op_bad_signer: -8,
      op_invalid_home_domain: -9,
      op_auth_revocable_required: -10,
    },
  ],
  6: [
    "changeTrustResult",
    {
      op_success: 0,
      op_malformed: -1,
      op_no_issuer: -2,
      op_invalid_limit: -3,
      op_low_reserve: -4,
      op_self_not_allowed: -5,
    },
  ],
  8: [
    "accountMergeResult",
    {
      op_success: 0,
      op_malformed: -1,
      op_no_account: -2,
      op_immutable_set: -3,
      op_has_sub_entries: -4,
      op_seq_num_too_far: -5,
      op_dest_full: -6,
    },
  ],
  10: [
    "manageDataResult",
    {
      op_success: 0,
      op_not_supported_yet: -1,
      op_data_name_not_found: -2,
      op_low_reserve: -3,
      op_data_invalid_name: -4,
    },
  ],
  13: ["pathPaymentStrictSendResult", { ...pathCodes(), op_under_dest_min: -12 }],
  21: [
    "setTrustLineFlagsResult",
    {
      op_success: 0,
      op_malformed: -1,
      op_no_trust: -2,
      op_cant_revoke: -3,
      op_invalid_state: -4,
      op_low_reserve: -5,
    },
  ],
  24: ["invokeHostFunctionResult", { op_success: 0, op_malformed: -1, function_trapped: -2 }],
} as const satisfies Record<number, readonly [string, Record<string, number>]>;

function pathCodes() {
  return {
    op_success: 0,
    op_malformed: -1,
    op_underfunded: -2,
    op_src_no_trust: -3,
    op_src_not_authorized: -4,
    op_no_destination: -5,
    op_no_trust: -6,
    op_not_authorized: -7,
    op_line_full: -8,
    op_no_issuer: -9,
    op_too_few_offers: -10,
    op_cross_self: -11,
  } as const;
}

/** Codes that any operation can end with, outside its own result. */
const OUTER_CODES = { op_bad_auth: -1, op_no_source_account: -2, op_not_supported: -3 } as const;

type Tables = typeof OPERATION_CODES;
type InnerCode = { [T in keyof Tables]: keyof Tables[T][1] }[keyof Tables];
export type OperationCode = InnerCode | keyof typeof OUTER_CODES;

export const TRANSACTION_CODES = {
  tx_fee_bump_inner_success: 1,
  tx_success: 0,
  tx_failed: -1,
  tx_too_early: -2,
  tx_too_late: -3,
  tx_missing_operation: -4,
  tx_bad_seq: -5,
  tx_bad_auth: -6,
  tx_insufficient_balance: -7,
  tx_no_source_account: -8,
  tx_insufficient_fee: -9,
  tx_bad_auth_extra: -10,
  tx_internal_error: -11,
  tx_not_supported: -12,
  tx_fee_bump_inner_failed: -13,
  tx_bad_min_seq_age_or_gap: -15,
  tx_malformed: -16,
  tx_soroban_invalid: -17,
} as const;

export type TransactionCode = keyof typeof TRANSACTION_CODES;

/** Where a code of an operation of type `typeI` stands in XDR: `outer` number, or a field with its number. */
export function operationCodeNumber(
  typeI: number,
  code: OperationCode,
): { outer: number } | { field: string; inner: number } {
  if (code in OUTER_CODES) return { outer: OUTER_CODES[code as keyof typeof OUTER_CODES] };
  const table: readonly [string, Record<string, number>] | undefined =
    OPERATION_CODES[typeI as keyof typeof OPERATION_CODES];
  const inner = table?.[1][code];
  if (table === undefined || inner === undefined)
    throw new Error(`no code ${code} for operation type ${typeI}`);
  return { field: table[0], inner };
}
