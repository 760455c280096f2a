/**
 * Records as Horizon serves them, for the tests: each builder makes a good one, which a test then breaks at one
 * place.
 */
import { StrKey } from "@stellar/stellar-sdk";
import type { AccountId } from "../../src/stellar/credit.js";
import { toOperationId } from "../../src/stellar/operation-id.js";

export type Json = Record<string, unknown>;

const key = (n: number) => Buffer.alloc(32, n);
export const US = StrKey.encodeEd25519PublicKey(key(1)) as AccountId;
export const PAYER = StrKey.encodeEd25519PublicKey(key(2));
export const ISSUER = StrKey.encodeEd25519PublicKey(key(3));
export const CONTRACT = StrKey.encodeContract(key(4));
export const HASH = "ab".repeat(32);
export const INNER_HASH = "cd".repeat(32);
export const ID = toOperationId(1000, 3, 1);
const USD = { asset_type: "credit_alphanum4", asset_code: "USD", asset_issuer: ISSUER };

/** `M…` address of an account. */
export function muxedAddress(account: string, id: bigint): string {
  const bytes = Buffer.alloc(40);
  Buffer.from(StrKey.decodeEd25519PublicKey(account)).copy(bytes);
  bytes.writeBigUInt64BE(id, 32);
  return StrKey.encodeMed25519PublicKey(bytes);
}

export function transaction(fields: Json = {}): Json {
  return {
    id: HASH,
    hash: HASH,
    successful: true,
    memo_type: "id",
    memo: "7",
    envelope_xdr: "AAAA",
    ...fields,
  };
}

export function operation(type: string, fields: Json, id: bigint = ID): Json {
  return {
    _links: { self: { href: `https://horizon/operations/${id}` } },
    id: `${id}`,
    paging_token: `${id}`,
    transaction_successful: true,
    source_account: PAYER,
    type,
    created_at: "2026-08-01T10:00:00Z",
    transaction_hash: HASH,
    transaction: transaction(),
    ...fields,
  };
}

export function payment(fields: Json = {}, id: bigint = ID): Json {
  return operation("payment", { from: PAYER, to: US, amount: "12.5000000", ...USD, ...fields }, id);
}

export function pathPayment(type: string, fields: Json = {}): Json {
  const source = { source_amount: "99.0000000", source_asset_type: "native", path: [] };
  return operation(type, { from: PAYER, to: US, amount: "12.5000000", ...USD, ...source, ...fields });
}

export function createAccount(fields: Json = {}): Json {
  return operation("create_account", {
    funder: PAYER,
    account: US,
    starting_balance: "2.0000000",
    ...fields,
  });
}

export function merge(fields: Json = {}): Json {
  return operation("account_merge", { account: PAYER, into: US, ...fields });
}

export function hostFunction(changes: unknown): Json {
  return operation("invoke_host_function", { function: "x", asset_balance_changes: changes });
}

export function change(type: string, fields: Json = {}): Json {
  return { type, from: CONTRACT, to: US, amount: "1.0000000", ...USD, ...fields };
}

export function credited(fields: Json = {}): Json {
  return {
    _links: {},
    paging_token: `${ID}-1`,
    account: US,
    type: "account_credited",
    type_i: 2,
    asset_type: "native",
    amount: "355.2904739",
    ...fields,
  };
}
