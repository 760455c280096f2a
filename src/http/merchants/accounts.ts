import { z } from "zod";
import { Merchant } from "../../entities/merchant.js";
import { ReceivingAccount } from "../../entities/receiving-account.js";
import type { HorizonClient } from "../../horizon/client.js";
import { LEAST, watchAccount } from "../../settlement/watch-account.js";
import { type Asset, issuerOf } from "../../stellar/asset.js";
import type { AccountId } from "../../stellar/credit.js";
import type { LedgerSequence } from "../../stellar/operation-id.js";
import type { Payee } from "../../stellar/payable.js";
import { Problem } from "../server/problem.js";
import { type Route, read, write } from "../server/route.js";
import { Account, AssetText, Id, Time } from "../server/values.js";
import { noMerchant } from "./merchants.js";
import type { Check, ReceivingChecks } from "./receiving-checks.js";
import { Warning, warnOfAccount } from "./warn-of-obstacles.js";

const AccountBody = z
  .object({ account: z.string(), merchant_id: Id, assets: z.array(z.string()), created_at: Time })
  .meta({ id: "ReceivingAccount" });

const CheckedAccount = AccountBody.extend({
  warnings: z.array(Warning).meta({
    description: "What keeps payments from arriving until somebody puts it right; empty where nothing does.",
  }),
}).meta({ id: "CheckedAccount" });

const OfMerchant = z.object({ merchant_id: Id });
const Assets = z.array(AssetText).min(1, "at least one asset").max(100, "at most 100 assets");

const NETWORK_ANSWERS_WITHIN_MS = 5_000;

/** Where a merchant is paid, and in what. */
export function accountRoutes(
  { horizon }: { readonly horizon: HorizonClient },
  receiving: ReceivingChecks,
): Route[] {
  return [
    write({
      method: "POST",
      path: "/v1/merchants/:merchant_id/accounts",
      access: "admin",
      operationId: "registerAccount",
      summary: "Register a receiving account and the assets that it takes",
      description:
        "From the network's newest ledger on, every payment to it is accounted for. An account belongs to one merchant.",
      tag: "Receiving accounts",
      idempotency: "required",
      status: 201,
      params: OfMerchant,
      body: z.strictObject({ account: Account, assets: Assets }),
      answer: CheckedAccount,
      prepare: async ({ body }): Promise<Prepared> => ({
        newest: await newestLedger(horizon),
        checks: await checkAll(receiving, body.account, body.assets),
      }),
      write: async ({ params, body }, { manager }, prepared) => {
        const { newest, checks } = prepared as Prepared;
        if (!(await manager.existsBy(Merchant, { id: params.merchant_id })))
          throw noMerchant(params.merchant_id);
        await watchAccount(manager, body.account, newest);
        const known = await manager.findOneBy(ReceivingAccount, { account: body.account });
        if (known !== null) {
          throw new Problem(
            "account-refused",
            known.merchantId === params.merchant_id
              ? "This account is registered already: change its assets by PATCH."
              : "This account is registered for another merchant.",
          );
        }
        const warnings = warnOfAccount(body.account, checks);
        const account = {
          account: body.account,
          merchantId: params.merchant_id,
          assets: [...new Set(body.assets)],
          createdAt: new Date(),
        };
        await manager.insert(ReceivingAccount, account);
        return { body: { ...present(account), warnings } };
      },
    }),
    read({
      path: "/v1/merchants/:merchant_id/accounts",
      access: "admin",
      operationId: "listAccounts",
      summary: "List a merchant's receiving accounts",
      tag: "Receiving accounts",
      params: OfMerchant,
      answer: z.object({ data: z.array(AccountBody) }),
      read: async ({ params }, manager) => {
        const accounts = await manager.find(ReceivingAccount, {
          where: { merchantId: params.merchant_id },
          order: { account: "ASC" },
        });
        return { body: { data: accounts.map(present) } };
      },
    }),
    write({
      method: "PATCH",
      path: "/v1/merchants/:merchant_id/accounts/:account",
      access: "admin",
      operationId: "updateAccount",
      summary: "Change what an account takes; open sessions stay as they are",
      tag: "Receiving accounts",
      params: z.object({ merchant_id: Id, account: Account }),
      body: z.strictObject({ assets: Assets }),
      answer: CheckedAccount,
      prepare: ({ params, body }) => checkAll(receiving, params.account, body.assets),
      write: async ({ params, body }, { manager }, checks) => {
        const account = await manager.findOneBy(ReceivingAccount, {
          account: params.account,
          merchantId: params.merchant_id,
        });
        if (account === null)
          throw new Problem("not-found", `The merchant has no account ${params.account}.`);
        const warnings = warnOfAccount(params.account, checks as Checks);
        account.assets = [...new Set(body.assets)];
        account.askedAt = null;
        await manager.save(account);
        return { body: { ...present(account), warnings } };
      },
    }),
  ];
}

type Checks = readonly { readonly payee: Payee; readonly check: Check }[];

type Prepared = { readonly newest: LedgerSequence; readonly checks: Checks };

/** Each asset by itself, one after the other: the first answer about the account serves all, and each issuer is a request. */
async function checkAll(
  receiving: ReceivingChecks,
  account: AccountId,
  assets: readonly Asset[],
): Promise<Checks> {
  const until = performance.now() + NETWORK_ANSWERS_WITHIN_MS;
  const checks: { payee: Payee; check: Check }[] = [];
  for (const known of [account, ...assets.map(issuerOf)]) if (known !== null) receiving.forget(known);
  for (const asset of new Set(assets)) {
    const payee = { account, asset, amount: LEAST };
    // Whose issuer is not asked in time is checked without it.
    const check = performance.now() < until ? await receiving.ask(payee) : receiving.known(payee);
    checks.push({ payee, check });
  }
  return checks;
}

/** @throws Problem `unavailable` while Horizon does not answer: a watch without a beginning could miss payments */
async function newestLedger(horizon: HorizonClient): Promise<LedgerSequence> {
  try {
    return (await horizon.root(AbortSignal.timeout(NETWORK_ANSWERS_WITHIN_MS))).historyLatestLedger;
  } catch {
    throw new Problem(
      "unavailable",
      "The network can't be asked where to begin. Nothing was changed. Try again.",
      {
        headers: { "Retry-After": "5" },
      },
    );
  }
}

function present(account: ReceivingAccount): z.output<typeof AccountBody> {
  return {
    account: account.account,
    merchant_id: account.merchantId,
    assets: account.assets,
    created_at: account.createdAt.toISOString(),
  };
}
