import type { Keypair, Asset as SdkAsset } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { HorizonClient } from "../../src/horizon/client.js";
import { modeOf } from "../../src/http/server/caller.js";
import { type Asset, NATIVE, parseAsset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { endOfLedger, type OperationId } from "../../src/stellar/operation-id.js";
import { Customers } from "../../stage/sandbox/customers.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { PRESENT } from "./release.js";
import type { SandboxClient } from "./sandbox-client.js";

export type Shop = {
  readonly merchantId: string;
  readonly account: AccountId;
  /** The watch begins after this operation. */
  readonly start: OperationId;
};

export type Street = {
  readonly shops: readonly Shop[];
  /** Merchants that have an endpoint. */
  readonly told: readonly string[];
  /** By merchant. */
  readonly apiKeys: ReadonlyMap<string, string>;
  readonly customers: readonly Keypair[];
  readonly usdc: Asset;
};

const MERCHANTS = 2;
const CUSTOMERS = 12;

/** While nothing is watched yet, ledgers need not take their time. */
const HURRY_MS = 40;

/**
 * Puts merchants, their accounts and customers on the network and into the database.
 * @param accounts how many receiving accounts; the merchants own them in turn
 * @param endpointOf where a merchant is told; null for nowhere
 * @param release whose tables the database has
 */
export async function openStreet(
  dataSource: DataSource,
  sandbox: SandboxClient,
  accounts: number,
  endpointOf: (merchantId: string) => string | null,
  release = PRESENT,
): Promise<Street> {
  const { Merchant, ReceivingAccount, issueKey, createEndpoint, watchAccount } = release;
  const customers = new Customers({
    horizonUrl: sandbox.url,
    passphrase: SANDBOX_PASSPHRASE,
    count: CUSTOMERS,
    seed: "chaos",
  });
  const hurry = setInterval(() => void sandbox.closeLedger().catch(() => undefined), HURRY_MS);
  let usdc: SdkAsset;
  const keys = Array.from({ length: accounts }, (_, i) => customers.key(`shop ${i}`));
  try {
    await Promise.all([customers.fund(), ...keys.map((key) => customers.create(key.publicKey()))]);
    usdc = await customers.issue("USDC", keys);
  } finally {
    clearInterval(hurry);
  }
  const asset = parseAsset(`${usdc.getCode()}:${usdc.getIssuer()}`);
  const apiKeys = new Map<string, string>();
  const told: string[] = [];
  for (let i = 0; i < MERCHANTS; i++) {
    const merchantId = uuidv7();
    await dataSource.getRepository(Merchant).insert({ id: merchantId, name: `Merchant ${i + 1}` });
    const { key } = await issueKey(dataSource.manager, merchantId, modeOf(SANDBOX_PASSPHRASE), "chaos");
    apiKeys.set(merchantId, key);
    const url = endpointOf(merchantId);
    if (url !== null) {
      await createEndpoint(dataSource.manager, merchantId, { url, description: "", eventTypes: null });
      told.push(merchantId);
    }
  }
  const root = await new HorizonClient({ url: sandbox.url }).root(AbortSignal.timeout(30_000));
  const merchants = [...apiKeys.keys()];
  const shops: Shop[] = [];
  for (const [i, key] of keys.entries()) {
    const merchantId = merchants[i % MERCHANTS] ?? "";
    const account = key.publicKey() as AccountId;
    await watchAccount(dataSource.manager, account, root.historyLatestLedger);
    await dataSource.getRepository(ReceivingAccount).insert({ account, merchantId, assets: [NATIVE, asset] });
    shops.push({ merchantId, account, start: endOfLedger(root.historyLatestLedger) });
  }
  return { shops, told, apiKeys, customers: customers.keys, usdc: asset };
}
