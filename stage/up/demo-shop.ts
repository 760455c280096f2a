import { randomBytes, randomInt } from "node:crypto";
import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { sleep } from "../../src/backoff.js";
import type { Config } from "../../src/config.js";
import { createSession } from "../../src/settlement/create-session.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { formatStroops, type Stroops, toStroops } from "../../src/stellar/stroops.js";
import type { Customers } from "../sandbox/customers.js";
import { sdkAsset } from "../sandbox/horizon-fields.js";
import { type DemoMerchant, demoCustomers, seedDemoMerchant } from "./demo-merchant.js";
import { sdkMemoOf } from "./pay-session.js";

export type DemoShopOptions = {
  readonly dataSource: DataSource;
  readonly config: Config;
  readonly logger: Logger;
  /** A customer comes this often, in milliseconds. */
  readonly everyMs: number;
  readonly signal: AbortSignal;
};

const SESSION_MINUTES = 10;

/** What customers do, and how often: mostly right, as in life. */
const HABITS: readonly { readonly share: number; readonly pay: Habit }[] = [
  { share: 80, pay: { amount: (due) => due } },
  { share: 6, pay: { amount: (due) => toStroops(due + 1_000_000n) } },
  { share: 5, pay: { amount: (due) => toStroops(due / 2n) } },
  { share: 5, pay: { amount: (due) => due, twice: true } },
  { share: 4, pay: { amount: (due) => due, forgetsMemo: true } },
];

type Habit = {
  readonly amount: (due: Stroops) => Stroops;
  readonly twice?: boolean;
  readonly forgetsMemo?: boolean;
};

/**
 * Opens sessions of the demo merchant and has customers pay them on the sandbox network, until `signal`
 * aborts. What goes wrong is logged, and the next customer comes all the same.
 */
export async function runDemoShop(options: DemoShopOptions): Promise<void> {
  const { dataSource, config, logger, everyMs, signal } = options;
  const merchant = await seedDemoMerchant(dataSource, config.HORIZON_URL, config.NETWORK_PASSPHRASE);
  let customers = demoCustomers(config.HORIZON_URL, config.NETWORK_PASSPHRASE);
  const visits = new Set<Promise<void>>();
  while (!signal.aborted) {
    const visit = visitShop(dataSource, merchant, customers).catch(async (error: unknown) => {
      logger.warn({ err: error }, "a customer could not pay; others come");
      customers = await freshCustomers(config).catch(() => customers);
    });
    visits.add(visit);
    void visit.finally(() => visits.delete(visit));
    await sleep(everyMs, signal);
  }
  await Promise.all(visits);
}

async function visitShop(
  dataSource: DataSource,
  merchant: DemoMerchant,
  customers: Customers,
): Promise<void> {
  const asset = randomInt(3) === 0 ? merchant.usdc : NATIVE;
  const session = await createSession(dataSource.manager, {
    merchantId: merchant.id,
    account: merchant.account,
    memoKey: randomMemoKey(),
    asset,
    amount: toStroops(BigInt(randomInt(50, 500)) * 100_000n),
    expiresAt: new Date(Date.now() + SESSION_MINUTES * 60_000),
  });
  const habit = randomHabit();
  const payment = {
    destination: session.account,
    amount: formatStroops(habit.amount(session.amount)),
    asset: sdkAsset(session.asset),
    ...(habit.forgetsMemo ? {} : sdkMemoOf(session.memoKey)),
  };
  await customers.pay(payment);
  if (habit.twice) await customers.pay(payment);
}

/** A memo of each kind, or a muxed id. */
function randomMemoKey(): MemoKey {
  const id = randomBytes(6).readUIntBE(0, 6).toString();
  switch (randomInt(4)) {
    case 0:
      return textMemo(Buffer.from(`order ${id}`));
    case 1:
      return idMemo(id);
    case 2:
      return hashMemo("hash", randomBytes(32));
    default:
      return muxedId(id);
  }
}

function randomHabit(): Habit {
  let roll = randomInt(HABITS.reduce((sum, { share }) => sum + share, 0));
  for (const { share, pay } of HABITS) {
    if (roll < share) return pay;
    roll -= share;
  }
  return { amount: (due) => due };
}

/** New customers with full pockets: the old ones may have spent all they had. */
async function freshCustomers(config: Config): Promise<Customers> {
  const fresh = demoCustomers(config.HORIZON_URL, config.NETWORK_PASSPHRASE, `demo ${Date.now()}`);
  await fresh.fund();
  return fresh;
}
