import { randomBytes } from "node:crypto";
import type { Keypair } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { createDataSource } from "../../src/entities/data-source.js";
import { Merchant } from "../../src/entities/merchant.js";
import { migrate } from "../../src/entities/migrate.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { issueKey } from "../../src/http/merchants/keys.js";
import { modeOf } from "../../src/http/server/caller.js";
import { watchAccount } from "../../src/settlement/watch-account.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { endOfLedger, type OperationId } from "../../src/stellar/operation-id.js";
import { freePort } from "../../stage/machine/free-port.js";
import { Customers } from "../../stage/sandbox/customers.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { paceArguments, paceOf } from "../../stage/sandbox/pace.js";
import { type StripeSandbox, startStripeSandbox } from "../../stage/stripe-sandbox/server.js";
import type { Ends } from "../chaos/ends.js";
import { Fleet, Member, type MemberSpec, type RoleName } from "../chaos/fleet.js";
import { aloneOf } from "../chaos/redis-side.js";
import { SandboxClient } from "../chaos/sandbox-client.js";
import { Servers } from "../chaos/servers.js";
import { IMPATIENT } from "../chaos/world.js";

/** How many processes of each role. */
const ROLES: readonly (readonly [RoleName, number])[] = [
  ["api", 2],
  ["work", 2],
  ["ingest", 1],
  ["consume", 1],
];

export const SHOPS = 4;

const LEDGER_MS = 300;

/** While nothing is watched yet, ledgers need not take their time. */
const HURRY_MS = 60;

/** Seconds: what a fault keeps back for longer, nobody hears of. */
const CHARGE_TIMEOUT_SECONDS = 2;

const STRIPE_KEY = "sk_test_storm";

export type StormShop = {
  readonly merchantId: string;
  readonly account: AccountId;
  readonly apiKey: string;
  /** The watch begins after this operation. */
  readonly start: OperationId;
};

/** Everything that a run consists of. */
export type StormWorld = {
  readonly servers: Servers;
  readonly fleet: Fleet;
  /** The network. */
  readonly sandbox: SandboxClient;
  readonly stripe: StripeSandbox;
  /** The driver's own eyes. */
  readonly dataSource: DataSource;
  readonly shops: readonly StormShop[];
  readonly payers: readonly Keypair[];
  /** Pays for the fee bumps. */
  readonly stranger: Keypair;
  /** Where the API listens, once for each process. */
  readonly apis: readonly [string, string];
};

/**
 * Starts everything. What is started is in `ends` at once, so that a failure or a Ctrl-C in the middle leaves nothing.
 * @param payers how many accounts can pay at the same time
 */
export async function openStorm(seed: number, payers: number, ends: Ends): Promise<StormWorld> {
  const servers = await Servers.start();
  ends.push(() => servers[Symbol.asyncDispose]());
  const [port, ...ports] = await Promise.all([freePort(), freePort(), freePort()]);
  const network = new Member({
    title: "sandbox",
    role: "sandbox",
    args: ["--port", String(port), ...paceArguments(LEDGER_MS)],
    env: { LOG_LEVEL: "warn", LOG_FORMAT: "json" },
  });
  ends.push(() => network.end());
  await Promise.all([network.start(), migrate(servers.postgres.url)]);
  const sandbox = new SandboxClient(`http://127.0.0.1:${port}`);
  ends.push(() => sandbox.stop());
  const dataSource = createDataSource({
    url: servers.postgres.url,
    applicationName: "storm",
    poolSize: 5,
    statementTimeoutMs: 60_000,
  });
  await dataSource.initialize();
  ends.push(() => dataSource.destroy());
  const apis = ports.map((one) => `http://127.0.0.1:${one}`) as [string, string];
  const secret = `whsec_${randomBytes(24).toString("base64url")}`;
  const webhook = { url: `${apis[0]}/v1/providers/stripe/webhook`, secret };
  const stripe = await startStripeSandbox({ apiKey: STRIPE_KEY, seed, webhook });
  ends.push(() => stripe.stop());
  const accounts = await openAccounts(sandbox, payers);
  const shops = await openShops(dataSource, sandbox, accounts.shops);
  const fleet = new Fleet(
    specs(ports, {
      ...IMPATIENT,
      DATABASE_URL: servers.postgres.url,
      REDIS_URL: aloneOf({ servers }).url,
      LOCK_REDIS_URLS: servers.locks.map(({ url }) => url).join(),
      HORIZON_URL: sandbox.url,
      HORIZON_REQUESTS_PER_HOUR: String(paceOf(LEDGER_MS).requestsPerHour),
      NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
      CHARGE_TIMEOUT_SECONDS: String(CHARGE_TIMEOUT_SECONDS),
      STRIPE_API_URL: stripe.url,
      STRIPE_API_KEY: STRIPE_KEY,
      STRIPE_WEBHOOK_SECRET: secret,
    }),
  );
  ends.push(() => fleet.end());
  await fleet.start();
  const { payers: keys, stranger } = accounts;
  return { servers, fleet, sandbox, stripe, dataSource, shops, apis, payers: keys, stranger };
}

function specs(ports: readonly number[], env: Readonly<Record<string, string>>): MemberSpec[] {
  return ROLES.flatMap(([role, count]) =>
    Array.from({ length: count }, (_, i) => ({
      role,
      title: `${role} ${i + 1}`,
      env: { ...env, PORT: String(ports[i]) },
    })),
  );
}

async function openAccounts(sandbox: SandboxClient, count: number) {
  const customers = new Customers({
    horizonUrl: sandbox.url,
    passphrase: SANDBOX_PASSPHRASE,
    count,
    seed: "storm",
  });
  const shops = Array.from({ length: SHOPS }, (_, i) => customers.key(`shop ${i}`));
  const stranger = customers.key("stranger");
  const hurry = setInterval(() => void sandbox.closeLedger().catch(() => undefined), HURRY_MS);
  try {
    const others = [...shops, stranger].map((key) => customers.create(key.publicKey()));
    await Promise.all([customers.fund(), ...others]);
  } finally {
    clearInterval(hurry);
  }
  return { shops, stranger, payers: customers.keys };
}

async function openShops(
  dataSource: DataSource,
  sandbox: SandboxClient,
  keys: readonly Keypair[],
): Promise<StormShop[]> {
  const root = await new HorizonClient({ url: sandbox.url }).root(AbortSignal.timeout(30_000));
  const shops: StormShop[] = [];
  for (const [i, key] of keys.entries()) {
    const merchantId = uuidv7();
    const account = key.publicKey() as AccountId;
    await dataSource.getRepository(Merchant).insert({ id: merchantId, name: `Merchant ${i + 1}` });
    const { key: apiKey } = await issueKey(
      dataSource.manager,
      merchantId,
      modeOf(SANDBOX_PASSPHRASE),
      "storm",
    );
    await watchAccount(dataSource.manager, account, root.historyLatestLedger);
    await dataSource.getRepository(ReceivingAccount).insert({ account, merchantId, assets: [NATIVE] });
    shops.push({ merchantId, account, apiKey, start: endOfLedger(root.historyLatestLedger) });
  }
  return shops;
}
