import { Account, Operation, TransactionBuilder } from "@stellar/stellar-sdk";
import { Redis } from "ioredis";
import type { AccountId } from "../src/stellar/credit.js";
import { endOfLedger, type LedgerSequence } from "../src/stellar/operation-id.js";
import { streamKey } from "../src/stream/stream-keys.js";
import { appendPaymentsUnchecked } from "../stage/sandbox/bulk.js";
import type { SandboxNetwork } from "../stage/sandbox/network.js";
import { startSandbox } from "../stage/sandbox/server.js";
import { checkRows } from "./check-rows.js";
import { Role } from "./consumers.js";
import { paceOf } from "./pace.js";
import type { Servers } from "./servers.js";
import { settleDown, watchAccounts } from "./workload.js";

const PER_LEDGER = 500;

const OPEN_SESSIONS = `
  INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at)
  SELECT uuidv7(), $1, $2, 'text:' || encode(convert_to('s' || n, 'UTF8'), 'hex'), 'native', 10000000, '2030-01-01T00:00:00Z'
  FROM generate_series(0, $3::integer - 1) AS n`;

const WATCH_FROM_HERE = `UPDATE stream_cursors SET starting_cursor = $1, watermark = $1`;

/**
 * The network's pages → committed and acknowledged: what an outage has left behind, by one `ingest` and one `consume`. The
 * sandbox that serves the pages runs on the same machine and takes its share of it.
 * @returns payments per second
 */
export async function measureCatchUp(servers: Servers, payments: number): Promise<number> {
  await using database = await servers.database();
  const sandbox = await startSandbox({ ledgerMs: 0, requestsPerHour: 0, rootCacheMs: 0 });
  const redis = new Redis(servers.redis.url, { maxRetriesPerRequest: null });
  const roles: Role[] = [];
  try {
    await redis.flushall();
    const { accounts, merchantId } = await watchAccounts(database.dataSource, 1);
    const [account = "" as AccountId] = accounts;
    open(sandbox.network, account);
    // From here: what made the account is no payment.
    await database.dataSource.query(WATCH_FROM_HERE, [
      endOfLedger(sandbox.network.latest.sequence as LedgerSequence).toString(),
    ]);
    await database.dataSource.query(OPEN_SESSIONS, [merchantId, account, payments]);
    payAll(sandbox.network, account, payments);
    await settleDown(database.dataSource);
    const options = {
      databaseUrl: database.url,
      redisUrl: servers.redis.url,
      env: { HORIZON_URL: sandbox.url },
    };
    roles.push(await Role.start("consume", options), await Role.start("ingest", options));
    const key = streamKey(account);
    const pace = await paceOf(payments, () => settledOf(redis, key));
    await checkRows(database.dataSource, { credits: payments, payments }, "catch-up");
    return pace;
  } finally {
    await Promise.all(roles.map((role) => role.stop()));
    redis.disconnect();
    await sandbox.stop();
  }
}

/** Makes the account on the network. */
function open(network: SandboxNetwork, account: AccountId): void {
  const source = new Account(network.root.publicKey(), network.rootSequence().toString());
  const transaction = new TransactionBuilder(source, { fee: "100", networkPassphrase: network.passphrase })
    .addOperation(Operation.createAccount({ destination: account, startingBalance: "100" }))
    .setTimeout(0)
    .build();
  const { kind } = network.submit(transaction.toEnvelope().toXdr("base64"), false);
  if (kind !== "queued") throw new Error(`the sandbox says ${kind}`);
  network.closeLedger();
}

function payAll(network: SandboxNetwork, to: AccountId, payments: number): void {
  for (let first = 0; first < payments; first += PER_LEDGER) {
    const count = Math.min(PER_LEDGER, payments - first);
    appendPaymentsUnchecked(
      network,
      Array.from({ length: count }, (_, i) => ({ to, amount: "1", memo: `s${first + i}` })),
    );
    network.closeLedger();
  }
}

/** All that was ever appended, but for what is still there. Asked in one step, so that neither can overtake the other. */
async function settledOf(redis: Redis, key: string): Promise<number> {
  const info = (await redis.xinfo("STREAM", key).catch(() => [])) as unknown[];
  const field = (name: string) => Number(info[info.indexOf(name) + 1] ?? 0);
  return info.length === 0 ? 0 : field("entries-added") - field("length");
}
