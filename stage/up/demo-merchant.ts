import type { DataSource } from "typeorm";
import { v5 as uuidv5 } from "uuid";
import { Merchant } from "../../src/entities/merchant.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { watchAccount } from "../../src/settlement/watch-account.js";
import { parseAccountId } from "../../src/stellar/account.js";
import { type Asset, NATIVE, parseAsset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { Customers } from "../sandbox/customers.js";

const NAMESPACE = "3b1f8a52-9a4e-4a0e-8f0e-5d4c0a6f1e77";

/** The merchant that `up` seeds: the same after every start. */
export type DemoMerchant = { readonly id: string; readonly account: AccountId; readonly usdc: Asset };

const CUSTOMERS = 8;

/** Simulated customers on a sandbox; another `seed` makes others, with full pockets. */
export function demoCustomers(horizonUrl: string, passphrase: string, seed = "demo"): Customers {
  return new Customers({ horizonUrl, passphrase, count: CUSTOMERS, seed });
}

/**
 * Puts the demo merchant on the sandbox network and in the database: receiving account, a USDC trustline,
 * and a watch on the account. Can be repeated.
 */
export async function seedDemoMerchant(
  dataSource: DataSource,
  horizonUrl: string,
  passphrase: string,
): Promise<DemoMerchant> {
  const customers = demoCustomers(horizonUrl, passphrase);
  const key = customers.key("merchant");
  const account = parseAccountId(key.publicKey());
  // Before the watch begins: these coins are capital, not a payment that needs an explanation.
  await customers.create(account);
  await customers.fund();
  const usdc = await customers.issue("USDC", [key]);
  const id = uuidv5(`merchant ${account}`, NAMESPACE);
  await dataSource.manager
    .createQueryBuilder()
    .insert()
    .into(Merchant)
    .values({ id, name: "Demo merchant" })
    .orIgnore()
    .execute();
  const root = await new HorizonClient({ url: horizonUrl }).root(AbortSignal.timeout(30_000));
  const assets = [NATIVE, parseAsset(`${usdc.getCode()}:${usdc.getIssuer()}`)] as const;
  await watchAccount(dataSource.manager, account, root.historyLatestLedger);
  await dataSource.manager
    .createQueryBuilder()
    .insert()
    .into(ReceivingAccount)
    .values({ account, merchantId: id, assets: [...assets] })
    .orIgnore()
    .execute();
  return { id, account, usdc: assets[1] };
}
