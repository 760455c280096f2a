import { Address, type Operation, scValToNative, xdr } from "@stellar/stellar-sdk";
import { type Asset, issuerOf, NATIVE } from "../../../src/stellar/asset.js";
import { MAX_STROOPS } from "../../../src/stellar/stroops.js";
import { baseAccount, sdkAsset, splitAddress } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { applyChanges, type BalanceChange, changeRecord } from "./balance-changes.js";
import { decimal } from "./move-effects.js";
import { type ApplyContext, failed, type Rule } from "./rule.js";

/** A call of an asset's own contract (SAC, CAP-46-6), as far as the sandbox knows them. */
type TokenCall = {
  readonly contract: string;
  readonly name: "transfer" | "mint" | "burn" | "clawback";
  /** `G…`; who pays: not with mint. */
  readonly from?: string;
  /** `G…`, `M…` or `C…`; who is paid: not with burn and clawback. */
  readonly to?: string;
  readonly amount: bigint;
  readonly parameters: readonly JsonObject[];
};

/**
 * `transfer`, `mint`, `burn` and `clawback` of an asset's contract, asked for by the account whose money it is or by the
 * issuer. Null for every other host function: the sandbox runs no contracts.
 */
export function contractCall(
  operation: Operation.InvokeHostFunction,
  passphrase: string,
): Rule<unknown> | null {
  const call = readCall(operation);
  if (call === null) return null;
  const parties = [call.from, call.to].filter((address) => address !== undefined && !address.startsWith("C"));
  return {
    type: "invoke_host_function",
    typeI: 24,
    pays: true,
    check: () => null,
    apply: (_operation, context) => {
      const asset = assetOf(call, passphrase, context);
      const change = asset === null ? null : changeOf(call, asset, context.source);
      if (change === null) return failed("function_trapped");
      return { ...applyChanges([change], context), changes: [change] };
    },
    details: (_operation, _source, applied) => ({
      function: "HostFunctionTypeHostFunctionTypeInvokeContract",
      parameters: call.parameters,
      address: "",
      salt: "",
      asset_balance_changes: (applied?.changes ?? []).map(changeRecord),
    }),
    participants: () => parties.filter((address) => address !== undefined),
    emptyPayload: () => ({ success: new Uint8Array(32) }),
  };
}

function readCall({ func }: Operation.InvokeHostFunction): TokenCall | null {
  if (func.type !== "hostFunctionTypeInvokeContract") return null;
  const { contractAddress, functionName, args } = func.invokeContract;
  const contract = Address.fromScAddress(contractAddress).toString();
  const name = String(scValToNative(xdr.ScVal.scvSymbol(functionName)));
  const parameters = [xdr.ScVal.scvAddress(contractAddress), xdr.ScVal.scvSymbol(functionName), ...args].map(
    (value) => ({ value: value.toXdr("base64"), type: PARAMETER_TYPES[value.type] ?? value.type }),
  );
  const [first, second, third] = args.map((value): unknown => scValToNative(value));
  if (name === "transfer" && isAddress(first) && isAddress(second) && typeof third === "bigint") {
    return { contract, name, from: first, to: second, amount: third, parameters };
  }
  if (!isAddress(first) || typeof second !== "bigint") return null;
  if (name === "mint") return { contract, name, to: first, amount: second, parameters };
  if (name === "burn" || name === "clawback")
    return { contract, name, from: first, amount: second, parameters };
  return null;
}

/** As Horizon names the arms of ScVal. */
const PARAMETER_TYPES: Readonly<Record<string, string>> = {
  scvAddress: "Address",
  scvSymbol: "Sym",
  scvI128: "I128",
};

function isAddress(value: unknown): value is string {
  return typeof value === "string" && /^[GMC]/.test(value);
}

/**
 * Whose contract it is: the lumens', or that of an asset that one of the parties holds. Whoever holds none of it could
 * not be part of the call either.
 */
function assetOf(call: TokenCall, passphrase: string, { draft }: ApplyContext): Asset | null {
  const held = [call.from, call.to]
    .filter((address) => address !== undefined && !address.startsWith("C"))
    .flatMap((address) => [...(draft.get(baseAccount(address ?? ""))?.trustlines.keys() ?? [])]);
  return [NATIVE, ...held].find((asset) => sdkAsset(asset).contractId(passphrase) === call.contract) ?? null;
}

/** Null where the network would trap: nobody but the account itself, or the issuer, may ask for it. */
function changeOf(call: TokenCall, asset: Asset, source: string): BalanceChange | null {
  const { name, amount } = call;
  if (amount < 0n || amount > MAX_STROOPS) return null;
  const issuer = issuerOf(asset);
  const caller = baseAccount(source);
  const asker = name === "mint" || name === "clawback" ? issuer : call.from;
  if (asker !== caller) return null;
  const target = call.to?.startsWith("C") ? { account: call.to, id: null } : splitTarget(call.to);
  const moved = { asset, amount: decimal(amount) };
  // What the issuer sends is made, and what it gets is destroyed: the contract's events say mint and burn (CAP-67).
  if (name === "transfer" && call.from === issuer && target !== null) return mintOf(moved, target);
  if (name === "mint" && target !== null) return mintOf(moved, target);
  if (call.from === undefined) return null;
  if (target === null) return { type: name === "clawback" ? "clawback" : "burn", ...moved, from: call.from };
  if (target.account === issuer) return { type: "burn", ...moved, from: call.from };
  return { type: "transfer", ...moved, from: call.from, ...targetFields(target) };
}

type Target = { readonly account: string; readonly id: string | null };

function splitTarget(address: string | undefined): Target | null {
  return address === undefined ? null : splitAddress(address);
}

function mintOf(moved: { asset: Asset; amount: string }, target: Target): BalanceChange {
  return { type: "mint", ...moved, ...targetFields(target) };
}

function targetFields({ account, id }: Target) {
  return { to: account, ...(id === null ? {} : { destination_muxed_id: id }) };
}
