import type { Operation } from "@stellar/stellar-sdk";
import { Keypair } from "@stellar/stellar-sdk";
import type { Asset } from "../../../src/stellar/asset.js";
import { addressFields, assetFields, baseAccount, canonical, sdkAsset } from "../horizon-fields.js";
import type { JsonObject } from "../json.js";
import { amountOf, credit, debit } from "./balances.js";
import { decimal, move, moved } from "./move-effects.js";
import { type Applied, type ApplyContext, failed, type Rule } from "./rule.js";

type Path = {
  readonly sendAsset: Operation.PathPaymentStrictSend["sendAsset"];
  readonly destAsset: Operation.PathPaymentStrictSend["destAsset"];
  readonly path: Operation.PathPaymentStrictSend["path"];
  readonly destination: string;
};

/** Rules: stellar-core PathPaymentStrictReceiveOpFrame, with fixed prices for the order book. */
export const pathPaymentStrictReceive: Rule<Operation.PathPaymentStrictReceive> = {
  type: "path_payment_strict_receive",
  typeI: 2,
  pays: true,
  check: ({ sendMax, destAmount }) =>
    amountOf(sendMax) > 0n && amountOf(destAmount) > 0n ? null : "op_malformed",
  apply: applyStrictReceive,
  details: (operation, source, applied) => ({
    ...details(operation, source, amountOf(operation.destAmount), applied?.found ?? 0n),
    source_max: decimal(amountOf(operation.sendMax)),
    ...assetFields(canonical(operation.sendAsset), "source_"),
  }),
  participants: (operation) => [operation.destination],
  emptyPayload: (operation) => delivered(operation, 0n),
};

/** Rules: stellar-core PathPaymentStrictSendOpFrame, with fixed prices for the order book. */
export const pathPaymentStrictSend: Rule<Operation.PathPaymentStrictSend> = {
  type: "path_payment_strict_send",
  typeI: 13,
  pays: true,
  check: ({ sendAmount, destMin }) =>
    amountOf(sendAmount) > 0n && amountOf(destMin) > 0n ? null : "op_malformed",
  apply: applyStrictSend,
  details: (operation, source, applied) => ({
    ...details(operation, source, applied?.found ?? 0n, amountOf(operation.sendAmount)),
    destination_min: decimal(amountOf(operation.destMin)),
    ...assetFields(canonical(operation.sendAsset), "source_"),
  }),
  participants: (operation) => [operation.destination],
  emptyPayload: (operation) => delivered(operation, 0n),
};

function applyStrictReceive(operation: Operation.PathPaymentStrictReceive, context: ApplyContext): Applied {
  const { draft, source } = context;
  const amount = amountOf(operation.destAmount);
  const from = draft.get(baseAccount(source));
  const to = draft.get(baseAccount(operation.destination));
  if (from === undefined) return failed("op_no_source_account");
  if (to === undefined) return failed("op_no_destination");
  const refused = credit(to, canonical(operation.destAsset), amount, draft);
  if (refused !== null) return failed(refused);
  const sent = context.prices.backward(hops(operation), amount);
  if (sent === null) return failed("op_too_few_offers");
  if (sent > amountOf(operation.sendMax)) return failed("op_over_source_max");
  const short = debit(from, canonical(operation.sendAsset), sent, draft);
  if (short !== null) return failed(short);
  return succeeded(operation, source, sent, amount, sent);
}

function applyStrictSend(operation: Operation.PathPaymentStrictSend, context: ApplyContext): Applied {
  const { draft, source } = context;
  const sent = amountOf(operation.sendAmount);
  const from = draft.get(baseAccount(source));
  const to = draft.get(baseAccount(operation.destination));
  if (from === undefined) return failed("op_no_source_account");
  if (to === undefined) return failed("op_no_destination");
  const short = debit(from, canonical(operation.sendAsset), sent, draft);
  if (short !== null) return failed(short);
  const amount = context.prices.forward(hops(operation), sent);
  if (amount === null) return failed("op_too_few_offers");
  if (amount < amountOf(operation.destMin)) return failed("op_under_dest_min");
  const refused = credit(to, canonical(operation.destAsset), amount, draft);
  if (refused !== null) return failed(refused);
  return succeeded(operation, source, sent, amount, amount);
}

function succeeded(path: Path, source: string, sent: bigint, arrived: bigint, found: bigint): Applied {
  const asset = canonical(path.destAsset);
  return {
    code: "op_success",
    effects: [
      moved("account_credited", path.destination, asset, arrived),
      moved("account_debited", source, canonical(path.sendAsset), sent),
    ],
    moves: [move(source, path.destination, asset, arrived)],
    payload: delivered(path, arrived),
    found,
  };
}

/** `offers` stays empty: fixed prices cross no one's offer. */
function delivered(path: Path, amount: bigint): Record<string, unknown> {
  const destination = Keypair.fromPublicKey(baseAccount(path.destination)).xdrAccountId().toXdrObject();
  const asset = sdkAsset(canonical(path.destAsset)).toXdrObject().toXdrObject();
  return { success: { offers: [], last: { destination, asset, amount } } };
}

function hops(path: Path): Asset[] {
  return [path.sendAsset, ...path.path, path.destAsset].map(canonical);
}

function details(path: Path, source: string, amount: bigint, sent: bigint): JsonObject {
  return {
    ...assetFields(canonical(path.destAsset)),
    ...addressFields("from", source),
    ...addressFields("to", path.destination),
    amount: decimal(amount),
    path: path.path.map((asset) => assetFields(canonical(asset))),
    source_amount: decimal(sent),
  };
}
