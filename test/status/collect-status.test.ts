import { expect } from "chai";
import type { Redis } from "ioredis";
import { saveBalanceCheck } from "../../src/audit/balance-log.js";
import { closeFinding, readFindings } from "../../src/findings/findings-log.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { giveVerdict } from "../../src/settlement/give-verdict.js";
import { settle } from "../../src/settlement/settle.js";
import { collectStatus } from "../../src/status/collect-status.js";
import { startHeartbeat } from "../../src/status/heartbeat.js";
import { OPEN, OWED } from "../../src/status/read-open.js";
import { SharedStatus } from "../../src/status/shared-status.js";
import { NATIVE, parseAsset } from "../../src/stellar/asset.js";
import { MAX_STROOPS, toStroops } from "../../src/stellar/stroops.js";
import { ensureGroup, readNew } from "../../src/stream/consumer-group.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { impatient, keepLocked } from "../support/bad-rows.js";
import {
  anUnreadable,
  aSession,
  creditFor,
  nextOperationId,
  openSessions,
  watchAccount,
} from "../support/books.js";
import { aCharge, becomeUnknown } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { LIMITS } from "../support/status.js";
import { append, eventually, plainRedis, silent } from "../support/stream.js";

describe("the status", () => {
  let database: TestDatabase;
  let server: RedisServer;
  let redis: Redis;

  beforeEach(async () => {
    [database, server] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    redis = plainRedis(server.url);
  });
  afterEach(async () => {
    redis.disconnect();
    await server.stop();
    await database.close();
  });

  const sources = () => ({
    dataSource: database.dataSource,
    redis,
    lockServers: [],
    lockMode: "off" as const,
    statusLimits: LIMITS,
  });

  /** Ledger closed this long ago. */
  const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000);

  it("tells of the other accounts although one account's stream is none, or ends where no operation is", async () => {
    const [first, second, third] = [
      await watchAccount(database.dataSource),
      await watchAccount(database.dataSource),
      await watchAccount(database.dataSource),
    ];
    await redis.xadd(streamKey(first.account), "18446744073709551614-0", "v", "1");
    await redis.xdel(streamKey(first.account), "18446744073709551614-0");
    await redis.set(streamKey(second.account), "x");
    await ensureGroup(redis, third.account);
    const { accounts } = await collectStatus(sources());
    const streamOf = (account: string) => accounts.find((each) => each.account === account)?.stream;
    expect(streamOf(second.account)).to.equal(null);
    expect(streamOf(third.account)).to.include({ tail: "0-0", backlog: 0 });
    expect(streamOf(first.account)).to.include({ tail: "18446744073709551614-0" });
  });

  it("tells the rest although one table can't be read for now", async () => {
    const { account } = await watchAccount(database.dataSource);
    await using dataSource = await impatient(database.url);
    for (const [table, field] of [
      ["charges", "charges"],
      ["webhook_deliveries", "webhooks"],
      ["receiving_states", "unpayable"],
    ] as const) {
      await using _psql = await keepLocked(database.url, `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      const status = await collectStatus({ ...sources(), dataSource });
      expect(status[field], table).to.equal(null);
      expect(status.postgres, table).to.deep.equal({ reachable: true, migrated: true });
      expect(
        status.accounts.map((each) => each.account),
        table,
      ).to.deep.equal([account]);
      expect(status.exceptions, table).not.to.equal(null);
    }
  });

  it("counts credits and paid sessions of the last minutes, and how long they took from the ledger's close", async () => {
    const owner = await watchAccount(database.dataSource);
    const [first, second] = await openSessions(
      database.dataSource,
      ...[0, 1].map(() => aSession(owner, { expiresAt: new Date(Date.now() + 60_000) })),
    );
    if (first === undefined || second === undefined) throw new Error("no sessions");
    await settle(database.dataSource, [
      creditFor(first, { closedAt: secondsAgo(10) }),
      creditFor(first, { closedAt: secondsAgo(10) }),
      creditFor(second, { closedAt: secondsAgo(40) }),
    ]);
    const old = creditFor(second, { closedAt: secondsAgo(500) });
    await settle(database.dataSource, [old]);
    await database.dataSource.query(
      "UPDATE credits SET recorded_at = now() - interval '4 minutes', closed_at = now() - interval '5 minutes' WHERE operation_id = $1",
      [old.operationId.toString()],
    );
    const { throughput } = await collectStatus(sources());
    expect(throughput?.credits_per_minute).to.deep.equal({ last_minute: 3, last_5_minutes: 0.8 });
    expect(throughput?.sessions_paid_per_minute).to.deep.equal({ last_minute: 2, last_5_minutes: 0.4 });
    expect(throughput?.close_to_settled?.credits).to.equal(4);
    expect(throughput?.close_to_settled?.p50_ms).to.be.within(10_000, 60_000);
    expect(throughput?.close_to_settled?.p99_ms).to.be.within(40_000, 60_000);
  });

  it("reads the end of an index for it, whatever the history", async () => {
    const { account } = await watchAccount(database.dataSource);
    await database.dataSource.query(
      `INSERT INTO credits (operation_id, move_index, outcome, account, record, recorded_at)
       SELECT n, 0, 'exception', $1, '{}', now() - n * interval '1 minute' FROM generate_series(6, 20005) AS n`,
      [account],
    );
    await database.dataSource.query("ANALYZE credits");
    const plan: { "QUERY PLAN": string }[] = await database.dataSource.query(
      "EXPLAIN SELECT count(*) FROM credits WHERE recorded_at > now() - interval '5 minutes'",
    );
    expect(plan.map((row) => row["QUERY PLAN"]).join("\n")).to.match(
      /Index (Only )?Scan using \w+_recorded_at_idx/,
    );
    expect((await collectStatus(sources())).throughput).to.deep.include({
      credits_per_minute: { last_minute: 0, last_5_minutes: 0 },
      close_to_settled: null,
    });
  });

  it("tells the age of the oldest credit that is not settled, and of the oldest that is being settled", async () => {
    const owner = await watchAccount(database.dataSource);
    const session = aSession(owner);
    const credits = [500, 300, 100].map((age) => creditFor(session, { closedAt: secondsAgo(age) }));
    await append(redis, credits);
    await ensureGroup(redis, owner.account);
    // The oldest is taken and settled by somebody; the next one is in hand.
    await readNew(redis, "test", [owner.account], 2, 100);
    const key = `paidonce:{${owner.account}}:credits`;
    await redis.xack(key, "settlement", `${credits[0]?.operationId}-0`);
    const [account] = (await collectStatus(sources())).accounts;
    expect(account?.stream).to.deep.include({ backlog: 3, pending: 1 });
    expect(account?.stream?.oldest?.id).to.equal(`${credits[0]?.operationId}-0`);
    expect(account?.stream?.oldest?.age_seconds).to.be.within(500, 560);
    expect(account?.stream?.oldest_pending?.id).to.equal(`${credits[1]?.operationId}-0`);
    expect(account?.stream?.oldest_pending?.age_seconds).to.be.within(300, 360);
    const status = await collectStatus(sources());
    expect(status.oldest_unsettled_seconds).to.be.within(500, 560);
    expect(status.healthy).to.equal(false);
  });

  it("tells how far an account is behind the newest ledger that ingest knows, and turns red", async () => {
    const { account } = await watchAccount(database.dataSource);
    const operationId = nextOperationId();
    await database.dataSource.query("UPDATE stream_cursors SET watermark = $1", [operationId.toString()]);
    await database.dataSource.query("SELECT prepare_partitions($1)", [operationId.toString()]);
    await redis.set(`paidonce:{${account}}:leader`, "host-9 token");
    const ledger = Number(operationId >> 32n);
    const beat = startHeartbeat({
      redis,
      role: "ingest",
      name: "host-9",
      logger: silent,
      figures: () => ({ newest_ledger: ledger + 61, newest_closed_at: new Date().toISOString() }),
    });
    await eventually(async () => (await collectStatus(sources())).horizon !== null);
    const status = await collectStatus(sources());
    expect(status.horizon?.newest_ledger).to.equal(ledger + 61);
    expect(status.accounts[0]?.lag_ledgers).to.equal(61);
    expect(status.problems).to.have.length(1);
    expect(status.problems[0]).to.match(/61 ledgers behind .* `host-9`/);
    await beat.stop();
  });

  it("counts webhooks that wait and that are dead, and the age of the oldest event among them", async () => {
    const { merchantId } = await watchAccount(database.dataSource);
    await database.dataSource.query(
      `WITH endpoint AS (
         INSERT INTO webhook_endpoints (id, merchant_id, url) VALUES (gen_random_uuid(), $1, 'https://shop.example') RETURNING id
       ), events AS (
         INSERT INTO outbox_events (id, type, merchant_id, subject, body, position, created_at)
         SELECT gen_random_uuid(), 'webhook.test', $1, n::text, '{}', n, now() - n * interval '1 hour'
         FROM generate_series(1, 3) AS n RETURNING id, position
       ) SELECT 1`,
      [merchantId],
    );
    await database.dataSource.query(
      `INSERT INTO webhook_deliveries (event_id, endpoint_id, position, state, sending_since)
       SELECT e.id, w.id, e.position,
              (ARRAY['sending', 'pending', 'dead'])[e.position],
              CASE WHEN e.position = 1 THEN now() END
       FROM outbox_events e, webhook_endpoints w`,
    );
    const { webhooks, outbox_unrelayed } = await collectStatus(sources());
    expect(webhooks).to.deep.include({ pending: 1, sending: 1, dead: 1 });
    expect(webhooks?.oldest_seconds).to.be.within(3_600, 3_660);
    expect(outbox_unrelayed).to.equal(0);
  });

  it("counts what arrived outside payments until a person closes it, and not as a finding of recovery too", async () => {
    const { dataSource } = database;
    const { account } = await watchAccount(dataSource);
    const arrived = { operationId: nextOperationId(), asset: NATIVE, type: "claim", amount: 70n };
    const left = { ...arrived, operationId: nextOperationId(), amount: -70n };
    const check = {
      ledger: null,
      balances: null,
      sequence: null,
      readThrough: arrived.operationId,
      flows: new Map(),
    };
    expect((await collectStatus(sources())).outside_payments).to.deep.equal({
      open: 0,
      oldest_seconds: null,
    });
    await saveBalanceCheck(dataSource, account, check, null, [arrived, left]);
    await dataSource.query("UPDATE recovery_findings SET found_at = now() - interval '4 days'");
    const status = await collectStatus(sources());
    expect(status.outside_payments?.open).to.equal(1);
    expect(status.outside_payments?.oldest_seconds).to.be.within(345_600, 345_660);
    expect(status.problems.filter((line) => line.includes("paidonce findings"))).to.have.length(1);
    const [finding] = await readFindings(dataSource.manager, { open: true, limit: 10 });
    expect(finding?.detail).to.match(new RegExp(`^0.0000070 native arrived on ${account} outside payments`));
    expect(await closeFinding(dataSource.manager, finding?.id ?? "", "sent back")).to.equal(true);
    // The same is found again by an audit from the beginning.
    await saveBalanceCheck(dataSource, account, check, arrived.operationId, [arrived, left]);
    expect((await collectStatus(sources())).outside_payments?.open).to.equal(0);
  });

  it("counts open exceptions by reason with the age of the oldest, and sums the refunds owed by asset", async () => {
    const { dataSource } = database;
    const owner = await watchAccount(dataSource);
    const nothing = (await collectStatus(sources())).exceptions;
    expect(nothing).to.deep.include({ open: 0, oldest_seconds: null });
    expect(nothing?.by_reason.late).to.deep.equal({ open: 0, oldest_seconds: null });
    const [session] = await openSessions(dataSource, aSession(owner, { expiresAt: new Date(0) }));
    if (session === undefined) throw new Error("no session");
    const amount = toStroops(MAX_STROOPS);
    const late = [1, 2, 3, 4].map(() => creditFor(session, { amount }));
    const foreign = creditFor(session, {
      asset: parseAsset(`USDC:${owner.account}`),
      amount: toStroops(15n),
    });
    const stray = creditFor(session, { memo: null });
    await settle(dataSource, [...late, foreign, stray, anUnreadable(owner.account)]);
    await dataSource.query(
      "UPDATE payment_exceptions SET raised_at = now() - interval '4 days' WHERE operation_id = $1",
      [stray.operationId.toString()],
    );
    for (const { operationId } of [...late.slice(0, 2), foreign]) {
      const key = { operationId, moveIndex: 0 };
      const request = { key, verdict: "refund", note: "n", decidedBy: "test", merchantId: null } as const;
      await inSerializableTransaction(dataSource, (runner) => giveVerdict(runner, request));
    }
    const status = await collectStatus(sources());
    expect(status.exceptions?.open).to.equal(4);
    const {
      late: twoLate,
      no_memo: old,
      unreadable,
      wrong_asset: decided,
    } = status.exceptions?.by_reason ?? {};
    expect([twoLate?.open, old?.open, unreadable?.open, decided?.open]).to.deep.equal([2, 1, 1, 0]);
    expect(status.exceptions?.oldest_seconds).to.be.within(345_600, 345_660);
    expect(old?.oldest_seconds).to.equal(status.exceptions?.oldest_seconds);
    expect(status.unreadable).to.equal(1);
    expect(status.refunds_owed).to.deep.equal({
      refunds: 3,
      by_asset: [
        // More than an int64 holds.
        { asset: "native", refunds: 2, amount: "1844674407370.9551614" },
        { asset: foreign.asset, refunds: 1, amount: "0.0000015" },
      ],
      more_assets: 0,
    });
    expect(status.problems.join("\n")).to.include("3 exceptions wait for a verdict, the oldest for 4 days");
  });

  it("names the assets with the most refunds owed, and says how many others there are", async () => {
    const { dataSource } = database;
    const { account } = await watchAccount(dataSource);
    await dataSource.query(
      `INSERT INTO credits (operation_id, move_index, outcome, account, record, asset, amount)
       SELECT n, 0, 'exception', $1, '{}', 'A' || lpad((n % 25)::text, 2, '0') || ':' || $1, 10 FROM generate_series(1, 45) AS n`,
      [account],
    );
    await dataSource.query(
      `INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, detail, raised_at, note, decided_by)
       SELECT n, 0, 'refund', 'no_memo', '', now(), 'n', 'b' FROM generate_series(1, 45) AS n`,
    );
    const owed = (await collectStatus(sources())).refunds_owed;
    expect(owed).to.deep.include({ refunds: 45, more_assets: 5 });
    expect(owed?.by_asset).to.have.length(20);
    expect(owed?.by_asset[0]).to.deep.equal({ asset: `A01:${account}`, refunds: 2, amount: "0.0000020" });
  });

  it("reads open exceptions and refunds owed from indexes that hold nothing else, whatever was decided", async () => {
    const { dataSource } = database;
    const { account } = await watchAccount(dataSource);
    await dataSource.query(
      `INSERT INTO credits (operation_id, move_index, outcome, account, record, asset, amount)
       SELECT n, 0, 'exception', $1, '{}', 'native', 10 FROM generate_series(1, 4000) AS n`,
      [account],
    );
    await dataSource.query(
      `INSERT INTO payment_exceptions (operation_id, move_index, reason, detail)
       SELECT n, 0, 'no_memo', '' FROM generate_series(1, 4000) AS n`,
    );
    await dataSource.query(
      `INSERT INTO exception_verdicts (operation_id, move_index, verdict, reason, detail, raised_at, note, decided_by)
       SELECT n, 0, CASE WHEN n <= 10 THEN 'refund' ELSE 'dismiss' END, 'no_memo', '', now(), 'n', 'b'
       FROM generate_series(1, 3995) AS n`,
    );
    await dataSource.query("VACUUM ANALYZE payment_exceptions, exception_verdicts");
    const plans = [OPEN, OWED].map(async (statement) => {
      const plan: { "QUERY PLAN": string }[] = await dataSource.query(`EXPLAIN ${statement}`);
      return plan.map((row) => row["QUERY PLAN"]).join("\n");
    });
    const [open = "", owed = ""] = await Promise.all(plans);
    expect(open).to.match(/using payment_exceptions_\w*reason_raised_at_idx/);
    expect(owed).to.match(/using exception_verdicts_\w*owed_asset_owed_amount_idx/);
    const status = await collectStatus(sources());
    expect([status.exceptions?.open, status.refunds_owed?.refunds]).to.deep.equal([5, 10]);
  });

  it("counts open charges, held by a worker or not, and since when the oldest is unknown or not taken", async () => {
    const { dataSource } = database;
    const { merchantId } = await watchAccount(dataSource);
    expect((await collectStatus(sources())).charges).to.deep.equal({
      pending: 0,
      processing: 0,
      unknown: 0,
      oldest_due_seconds: null,
      oldest_unknown_seconds: null,
    });
    const charges = [];
    for (let n = 0; n < 5; n++) charges.push((await aCharge(dataSource, merchantId)).id);
    const [due = "", leased = "", young = "", old = ""] = charges;
    await dataSource.query(
      "UPDATE charges SET next_attempt_at = now() - interval '5 minutes' WHERE id = $1",
      [due],
    );
    await dataSource.query("UPDATE charges SET status = 'processing', leased_since = now() WHERE id = $1", [
      leased,
    ]);
    await becomeUnknown(dataSource, young, "10 minutes");
    await becomeUnknown(dataSource, old, "20 minutes");
    await dataSource.query("UPDATE charges SET leased_since = now() WHERE id = $1", [young]);
    const status = await collectStatus(sources());
    expect(status.charges).to.deep.include({ pending: 2, processing: 1, unknown: 2 });
    expect(status.charges?.oldest_due_seconds).to.be.within(300, 360);
    expect(status.charges?.oldest_unknown_seconds).to.be.within(1_200, 1_260);
    expect(status.problems.join("\n")).to.include("paidonce charges list --status unknown");
  });

  it("tells the newest audit of each account, and is red while one found something", async () => {
    const accounts = [await watchAccount(database.dataSource), await watchAccount(database.dataSource)];
    expect((await collectStatus(sources())).last_audit).to.equal(null);
    const audited = (account: string, to: number, differences: number, age: string) =>
      database.dataSource.query(
        `INSERT INTO audits (id, account, from_cursor, to_cursor, checked_through, differences, finished_at)
         VALUES (gen_random_uuid(), $1, 0, $2, $2, $3, now() - $4::interval)`,
        [account, to, differences, age],
      );
    for (const { account } of accounts) await audited(account, 10, 2, "2 hours");
    await audited(accounts[0]?.account ?? "", 20, 0, "1 hour");
    const status = await collectStatus(sources());
    expect(status.last_audit).to.deep.include({ accounts: 2, differences: 2 });
    expect(status.last_audit?.age_seconds).to.be.within(3_600, 3_660);
    expect(status.problems.join("\n")).to.include("The last audit found 2 differences");
    await audited(accounts[1]?.account ?? "", 20, 0, "1 minute");
    expect((await collectStatus(sources())).last_audit).to.deep.include({ accounts: 2, differences: 0 });
  });

  it("answers however much is away, and says that it is not known", async () => {
    await watchAccount(database.dataSource);
    await server.kill();
    const away = plainRedis(server.url);
    away.options.maxRetriesPerRequest = 0;
    const status = await collectStatus({ ...sources(), redis: away });
    away.disconnect();
    expect(status).to.deep.include({ redis: { reachable: false }, roles: null, horizon: null });
    expect(status.accounts[0]).to.deep.include({ stream: null, lag_ledgers: null });
    expect(status.throughput).not.to.equal(null);
  });

  it("asked by many at once, looks once", async () => {
    const shared = new SharedStatus(sources());
    const answers = await Promise.all(Array.from({ length: 20 }, () => shared.current()));
    expect(new Set(answers).size).to.equal(1);
  });
});
