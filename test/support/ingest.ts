import { Account, type Keypair, Memo, MuxedAccount, Operation, type xdr } from "@stellar/stellar-sdk";
import type { DataSource } from "typeorm";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { Ingest } from "../../src/ingest/ingest.js";
import type { NetworkOptions } from "../../src/ingest/network-lead.js";
import type { RedisTarget } from "../../src/redis/client.js";
import { connectRedis } from "../../src/redis/client.js";
import { watchAccount } from "../../src/settlement/watch-account.js";
import { NATIVE } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import { formatStroops } from "../../src/stellar/stroops.js";
import { sdkAsset } from "../../stage/sandbox/horizon-fields.js";
import type { SandboxNetwork } from "../../stage/sandbox/network.js";
import { sdkMemoOf } from "../../stage/up/pay-session.js";
import type { Stage } from "../sandbox/stage.js";
import { watchAccount as watchForTest } from "./books.js";
import { watchLedgers } from "./ledgers.js";
import { silent } from "./stream.js";

let names = 0;

export type TestIngest = { stop(): Promise<void> };

/** An ingest process' work, in this process, with connections of its own. */
export function startIngest(
  target: RedisTarget,
  dataSource: DataSource,
  horizonUrl: string,
  passphrase: string,
  networkMode?: NetworkOptions,
): TestIngest {
  const redis = connectRedis(target, "test-ingest", silent);
  const horizon = new HorizonClient({ url: horizonUrl });
  const network = new NetworkView(horizon, passphrase);
  const ingest = new Ingest({
    redis,
    dataSource,
    horizon,
    network,
    ledgers: watchLedgers(horizon, network),
    logger: silent,
    electionMs: 50,
    name: `ingest-${++names}`,
    ...(networkMode && { networkMode }),
  });
  ingest.start();
  return {
    stop: async () => {
      await ingest.stop();
      redis.disconnect();
    },
  };
}

/** A merchant whose account exists on the stage's network and is watched from its newest ledger on. */
export async function watchOnStage(
  dataSource: DataSource,
  stage: Stage,
): Promise<{ account: AccountId; merchantId: string; key: Keypair }> {
  const key = stage.account("100");
  const account = key.publicKey() as AccountId;
  const { merchantId } = await watchForTest(dataSource, account);
  // From here, not from the beginning of time: what made the account is no payment.
  await dataSource.query("DELETE FROM receiving_accounts WHERE account = $1", [account]);
  await dataSource.query("DELETE FROM stream_cursors WHERE account = $1", [account]);
  await watchAccount(dataSource.manager, account, stage.network.latest.sequence as LedgerSequence);
  await dataSource.getRepository(ReceivingAccount).insert({ account, merchantId, assets: [NATIVE] });
  return { account, merchantId, key };
}

/** The operation that pays a session exactly, and the memo for its transaction where it needs one. */
export function paymentOf(
  session: CheckoutSession,
  amount = session.amount,
): { operation: xdr.Operation; memo: Memo } {
  const { memo = Memo.none(), muxedId } = sdkMemoOf(session.memoKey);
  const destination =
    muxedId === undefined
      ? session.account
      : new MuxedAccount(new Account(session.account, "0"), muxedId).accountId();
  const asset = sdkAsset(session.asset);
  return {
    operation: Operation.payment({ destination, asset, amount: formatStroops(amount) }),
    memo,
  };
}

/** Pays sessions, each in a transaction of its own, all in one ledger. */
export function payAll(stage: Stage, payer: Keypair, sessions: readonly CheckoutSession[]): void {
  let sequence = stage.network.sequenceOf(payer.publicKey()) ?? 0n;
  for (const session of sessions) {
    const { operation, memo } = paymentOf(session);
    const transaction = stage.build(payer, [operation], { memo, sequence: ++sequence });
    const { kind } = stage.network.submit(transaction.toEnvelope().toXdr("base64"));
    if (kind !== "queued") throw new Error(`the sandbox says ${kind}`);
  }
  stage.network.closeLedger();
}

/** G3: per credit, what the network credited and what the books have. Empty when they are the same. */
export async function differences(
  dataSource: DataSource,
  network: SandboxNetwork,
  account: AccountId,
): Promise<string[]> {
  const [{ starting_cursor: start }] = await dataSource.query(
    "SELECT starting_cursor FROM stream_cursors WHERE account = $1",
    [account],
  );
  const told = network.credits
    .of(account)
    .filter((credit) => BigInt(String(credit.operation_id)) > BigInt(start))
    .map(
      (credit) =>
        `${credit.operation_id}-${credit.move_index} ${credit.amount} ${credit.asset} ${credit.transaction_hash}`,
    );
  const rows: { line: string }[] = await dataSource.query(
    `SELECT operation_id || '-' || move_index || ' ' || (amount / 10000000) || '.' || lpad((amount % 10000000)::text, 7, '0')
            || ' ' || asset || ' ' || transaction_hash AS line
     FROM credits WHERE account = $1 AND amount IS NOT NULL`,
    [account],
  );
  const recorded = rows.map((row) => row.line);
  return [
    ...told.filter((line) => !recorded.includes(line)).map((line) => `missing in the books: ${line}`),
    ...recorded.filter((line) => !told.includes(line)).map((line) => `not on the network: ${line}`),
  ];
}
