import { BASE_FEE, Keypair, type Memo, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import type { Asset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import { CustomerServers } from "../sandbox/customers.js";
import { sdkAsset } from "../sandbox/horizon-fields.js";
import { demoCustomers } from "./demo-merchant.js";

export type PaymentToSign = {
  readonly to: AccountId;
  readonly amount: Stroops;
  readonly asset: Asset;
  readonly memo: Memo | null;
  /** The secret of the payer, an account that exists; null for a new account with 10,000 XLM from friendbot. */
  readonly secret: string | null;
};

/** Time enough to copy it into a request; the API takes an hour at the most. */
const GOOD_FOR_SECONDS = 300;

/**
 * A payment on the sandbox, signed and not sent: what a payer hands in for a charge or a session.
 * @returns base64 of its TransactionEnvelope
 */
export async function signPayment(
  { to, amount, asset, memo, secret }: PaymentToSign,
  network: { readonly horizonUrl: string; readonly passphrase: string },
): Promise<string> {
  // Somebody new each time: of two transactions of one payer, signed before either is sent, only one could apply.
  const payer = secret === null ? Keypair.random() : Keypair.fromSecret(secret);
  const paid = sdkAsset(asset);
  if (secret === null) await fill(payer, asset, network);
  const server = new CustomerServers(network.horizonUrl).of(payer.publicKey());
  const builder = new TransactionBuilder(await server.loadAccount(payer.publicKey()), {
    fee: BASE_FEE,
    networkPassphrase: network.passphrase,
  })
    .addOperation(Operation.payment({ destination: to, asset: paid, amount: formatStroops(amount) }))
    .setTimeout(GOOD_FOR_SECONDS);
  if (memo !== null) builder.addMemo(memo);
  const transaction = builder.build();
  transaction.sign(payer);
  return transaction.toEnvelope().toXdr("base64");
}

async function fill(
  payer: Keypair,
  asset: Asset,
  { horizonUrl, passphrase }: { readonly horizonUrl: string; readonly passphrase: string },
): Promise<void> {
  const customers = demoCustomers(horizonUrl, passphrase);
  await customers.create(payer.publicKey());
  if (sdkAsset(asset).isNative()) return;
  await customers.trust(payer, sdkAsset(asset));
  await customers.give(payer.publicKey(), sdkAsset(asset));
}
