import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { FeedLeader, Notifier } from "../../src/ingest/lead-feed.js";
import { advanceNetwork, NetworkFeed, readNetworkSet } from "../../src/ingest/network-feed.js";
import type { NetworkOptions } from "../../src/ingest/network-lead.js";
import { joinNetwork, leaveNetwork, passVersion, spreadNetwork } from "../../src/ingest/network-members.js";
import { NetworkSizes } from "../../src/ingest/network-mode.js";
import { acceptHole, acceptNetworkHole } from "../../src/settlement/watch-account.js";
import { collectStatus } from "../../src/status/collect-status.js";
import type { Credit } from "../../src/stellar/credit.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { appendEntries } from "../../src/stream/append-entries.js";
import { claimStream } from "../../src/stream/claim-stream.js";
import {
  deadLetterKey,
  leaderKey,
  NETWORK,
  type NetworkStream,
  streamKey,
  versionKey,
} from "../../src/stream/stream-keys.js";
import { networkStreams, watchedStreams } from "../../src/stream/streams.js";
import { impatient, keepLocked } from "../support/bad-rows.js";
import { aSession, creditFor, openSessions } from "../support/books.js";
import { TEST_KEY } from "../support/entry-key.js";
import { differences, payAll, watchOnStage } from "../support/ingest.js";
import { watchLedgers } from "../support/ledgers.js";
import { someOf } from "../support/long.js";
import { Spine } from "../support/spine.js";
import { LIMITS } from "../support/status.js";
import { eventually, silent } from "../support/stream.js";

const ON: NetworkOptions = { mode: "on", requestsPerHour: 0, streams: 4, joinEveryMs: 100 };
const OFF: NetworkOptions = { ...ON, mode: "off" };

type Owner = Awaited<ReturnType<typeof watchOnStage>>;

for (const mode of someOf(["off", "optional"] as const))
  describe(`the network's feed, LOCKS=${mode}`, () => {
    let spine: Spine;
    let owners: Owner[];

    beforeEach(async () => {
      spine = await Spine.open(mode);
      owners = [spine.owner];
    });
    afterEach(() => spine[Symbol.asyncDispose]());

    const dataSource = () => spine.database.dataSource;
    const read = (count = 1, options = ON) => spine.ingest(count, spine.stage.network.passphrase, options);

    async function watch(count: number): Promise<void> {
      for (let i = 0; i < count; i++) owners.push(await watchOnStage(dataSource(), spine.stage));
    }

    /** So many for each account, dealt out in turn. */
    function sessions(each: number): Promise<CheckoutSession[]> {
      const expiresAt = new Date(Date.now() + 3e10);
      const all = Array.from({ length: each }, () => owners.map((owner) => aSession(owner, { expiresAt })));
      return openSessions(dataSource(), ...all.flat());
    }

    const pay = (these: readonly CheckoutSession[]) => payAll(spine.stage, spine.payer, these);

    async function joined(count = owners.length): Promise<void> {
      await eventually(async () => {
        const [row] = await dataSource().query(
          "SELECT count(*)::int AS n FROM stream_cursors WHERE in_network",
        );
        return row.n === count;
      });
    }

    async function expectAllToBalance(payments: number): Promise<void> {
      await spine.expectBooksToBalance(payments);
      for (const { account } of owners) {
        expect(await differences(dataSource(), spine.stage.network, account)).to.deep.equal([]);
      }
    }

    it("G1, G2, G3: several accounts, paid before, while and after they are read together", async () => {
      await watch(5);
      const all = await sessions(30);
      pay(all.slice(0, 60));
      read(2);
      spine.consume(2);
      pay(all.slice(60, 120));
      await joined();
      pay(all.slice(120));
      await spine.settledAll(180);
      await expectAllToBalance(180);
      const streams = await watchedStreams(dataSource().manager);
      expect(streams).to.deep.equal(networkStreams(4));
    });

    it("the watermark of every account follows the feed, and is written to one row", async () => {
      await watch(3);
      read();
      spine.consume();
      await joined();
      const all = await sessions(3);
      pay(all);
      await spine.settledAll(all.length);
      const { latest } = spine.stage.network;
      await eventually(async () => {
        const rows: { read_through: string; settled_through: Date | null }[] = await dataSource().query(
          "SELECT read_through, settled_through FROM watched_cursors",
        );
        const end = endOfLedger(latest.sequence as LedgerSequence);
        return rows.every((row) => BigInt(row.read_through) >= end && row.settled_through !== null);
      });
      const own: { read_through: string }[] = await dataSource().query(
        "SELECT read_through FROM stream_cursors",
      );
      expect(
        own.every((row) => BigInt(row.read_through) < endOfLedger(latest.sequence as LedgerSequence)),
      ).to.equal(true);
    });

    it("G4: accounts join and leave under load, again and again: nothing lost, nothing doubled", async () => {
      await watch(2);
      spine.consume(2);
      let settled = 0;
      const auto: NetworkOptions = { ...ON, mode: "auto" };
      for (const options of [ON, auto, OFF, { ...ON, streams: 3 }, ON, OFF]) {
        const all = await sessions(10);
        pay(all.slice(0, 10));
        const running = read(2, options);
        pay(all.slice(10, 20));
        await watch(1);
        pay(all.slice(20));
        await joined(options.mode === "off" ? 0 : owners.length);
        settled += all.length;
        await spine.settledAll(settled);
        await Promise.all(running.map((ingest) => ingest.stop()));
      }
      await expectAllToBalance(settled);
      expect(await watchedStreams(dataSource().manager)).to.have.length(owners.length);
    });

    it("G4: FLUSHALL again and again under load: nothing lost, nothing doubled", async () => {
      await watch(3);
      const all = await sessions(50);
      read(2);
      spine.consume(2);
      await joined();
      for (let i = 0; i < all.length; i += 20) {
        pay(all.slice(i, i + 20));
        await spine.server.flush();
      }
      await spine.settledAll(all.length);
      await expectAllToBalance(all.length);
    });

    it("two leaders of the feed at once: no gap and nothing twice", async () => {
      await watch(3);
      const all = await sessions(50);
      read(3);
      spine.consume(2);
      for (let i = 0; i < all.length; i += 10) {
        pay(all.slice(i, i + 10));
        await spine.redis.del(leaderKey(NETWORK));
        if (i === 100) await watch(1);
      }
      await spine.settledAll(all.length);
      await joined();
      await expectAllToBalance(all.length);
    });

    describe("with a leader whose set of accounts is old", () => {
      const newest = () => spine.stage.network.latest.sequence as LedgerSequence;

      /** What a leader of the feed does, by hand: it stays with the set that it has read. */
      async function lead() {
        const set = await readNetworkSet(dataSource());
        if (set === null) throw new Error("nobody is in the feed");
        const { version } = set.cursor;
        const [stream] = networkStreams(1);
        if (stream === undefined) throw new Error("no stream");
        const claim = await claimStream(spine.redis, stream, version);
        return { stream, claim, version, watched: set.watched };
      }

      async function someCredit(owner: Owner): Promise<Credit> {
        const [session] = await openSessions(dataSource(), aSession(owner));
        if (session === undefined) throw new Error("no session");
        return creditFor(session);
      }

      it("its appends are refused as soon as a newer one has claimed the streams, and it proves nothing", async () => {
        await joinNetwork(dataSource(), newest(), 1);
        const old = await lead();
        await watch(1);
        await joinNetwork(dataSource(), newest(), 1);
        const { stream } = old;
        const credit = await someCredit(spine.owner);
        if (old.claim.kind !== "claimed") throw new Error("not claimed");
        const options = { key: TEST_KEY, version: old.version.toString() };
        // Between the join and the claim it may still append: what it says is thrown away with the claim.
        const before = await appendEntries(spine.redis, stream, old.claim.tail, [credit], options);
        expect(before.appended).to.equal(true);
        const fresh = await lead();
        expect(fresh.claim).to.deep.equal({ kind: "claimed", tail: "0-0" });
        expect(await spine.redis.xlen(streamKey(stream))).to.equal(0);
        const after = await appendEntries(
          spine.redis,
          stream,
          "0-0" as typeof before.tail,
          [credit],
          options,
        );
        expect(after.appended).to.equal(false);
        const tails = new Map([[stream, after.tail]]);
        const advanced = await advanceNetwork(spine.redis, dataSource(), old.version, tails, null);
        expect(advanced).to.equal(false);
        expect(await claimStream(spine.redis, stream, old.version)).to.deep.equal({
          kind: "newer",
          version: fresh.version,
        });
      });

      it("after a flush it can append nothing either, until somebody has claimed the streams", async () => {
        await joinNetwork(dataSource(), newest(), 1);
        const old = await lead();
        await spine.server.flush();
        const credit = await someCredit(spine.owner);
        const options = { key: TEST_KEY, version: old.version.toString() };
        const { appended } = await appendEntries(
          spine.redis,
          old.stream,
          "0-0" as Parameters<typeof appendEntries>[2],
          [credit],
          options,
        );
        expect(appended).to.equal(false);
        expect(await spine.redis.exists(streamKey(old.stream))).to.equal(0);
      });

      it("G4: an account that joins while it appends, with a flush in between, misses nothing", async () => {
        const { stage, redis } = spine;
        const horizon = new HorizonClient({ url: stage.sandbox.url });
        const network = new NetworkView(horizon, stage.network.passphrase);
        const ledgers = watchLedgers(horizon, network);
        ledgers.start();
        const parts = { redis, dataSource: dataSource(), horizon, network, ledgers, logger: silent };
        const notifiers = [new Notifier(), new Notifier()];
        for (const notifier of notifiers) ledgers.onLedger(() => notifier.notify());
        await joinNetwork(dataSource(), newest(), 4);
        spine.consume(2);
        const stopping = new AbortController();
        // Two that know nothing of each other, and take no lease at all.
        const leaders = notifiers.map((notifier) => {
          const feed = new NetworkFeed(parts, new NetworkSizes());
          return new FeedLeader(parts, feed, notifier, stopping.signal).run();
        });
        let paid = 0;
        for (let round = 0; round < 6; round++) {
          await watch(1);
          const all = await sessions(4);
          pay(all.slice(0, all.length / 2));
          const flushed = round % 2 === 0 ? spine.server.flush() : null;
          await joinNetwork(dataSource(), newest(), 4);
          await flushed;
          pay(all.slice(all.length / 2));
          paid += all.length;
        }
        await joinNetwork(dataSource(), newest(), 4);
        await spine.settledAll(paid);
        stopping.abort();
        await Promise.all(leaders);
        await ledgers.stop();
        await expectAllToBalance(paid);
      });
    });

    it("a version that only the streams know, as after a restore, is outnumbered", async () => {
      await joinNetwork(dataSource(), spine.stage.network.latest.sequence as LedgerSequence, 1);
      const [stream] = networkStreams(1) as [NetworkStream];
      await spine.redis.set(versionKey(stream), "12345678901234567");
      spine.consume();
      read(1, { ...ON, streams: 1 });
      const all = await sessions(5);
      pay(all);
      await spine.settledAll(5);
      await expectAllToBalance(5);
      const set = await readNetworkSet(dataSource());
      expect(set !== null && set.cursor.version > 12345678901234567n).to.equal(true);
      // Somebody else's version is not touched.
      await passVersion(dataSource(), 1n, 99999999999999999n);
      expect((await readNetworkSet(dataSource()))?.cursor.version).to.equal(set?.cursor.version);
    });

    it("who leaves has the feed's watermark as its own, and a feed that is spread anew begins at it", async () => {
      await watch(1);
      await joinNetwork(dataSource(), spine.stage.network.latest.sequence as LedgerSequence, 4);
      await dataSource().query(
        "UPDATE network_feed SET watermark = watermark + 500, settled_through = '2026-01-01T00:00:00Z'",
      );
      const before = await readNetworkSet(dataSource());
      expect(await spreadNetwork(dataSource(), 4)).to.equal(null);
      expect(await spreadNetwork(dataSource(), 6)).to.equal(4);
      const after = await readNetworkSet(dataSource());
      expect(after?.cursor.watermark).to.equal(before?.cursor.watermark);
      expect(after !== null && before !== null && after.cursor.version > before.cursor.version).to.equal(
        true,
      );
      expect(await leaveNetwork(dataSource())).to.deep.equal({ kind: "over", streams: 6 });
      expect(await leaveNetwork(dataSource())).to.deep.equal({ kind: "no_feed" });
      const rows: { watermark: string; settled_through: Date; in_network: boolean }[] =
        await dataSource().query("SELECT watermark, settled_through, in_network FROM stream_cursors");
      for (const row of rows) {
        expect(BigInt(row.watermark) >= (before?.cursor.watermark ?? 0n)).to.equal(true);
        expect(row.settled_through.toISOString()).to.equal("2026-01-01T00:00:00.000Z");
        expect(row.in_network).to.equal(false);
      }
    });

    it("an account whose row somebody keeps locked keeps no other from joining, nor from leaving", async () => {
      await watch(3);
      const newest = spine.stage.network.latest.sequence as LedgerSequence;
      await using few = await impatient(spine.database.url);
      const lockOne = () =>
        keepLocked(
          spine.database.url,
          "SELECT FROM stream_cursors WHERE account = $1 FOR UPDATE",
          owners[1]?.account,
        );
      {
        await using _psql = await lockOne();
        expect(await joinNetwork(few, newest, 4)).to.have.length(3);
      }
      expect(await joinNetwork(few, newest, 4)).to.have.length(1);
      {
        await using _psql = await lockOne();
        expect(await leaveNetwork(few)).to.deep.equal({ kind: "held" });
        const inFeed = await readNetworkSet(dataSource());
        expect([...(inFeed?.watched.keys() ?? [])], "the feed goes on for it").to.deep.equal([
          owners[1]?.account,
        ]);
      }
      expect(await leaveNetwork(few)).to.deep.equal({ kind: "over", streams: 4 });
    });

    it("who joins takes the feed back to where it is itself, in ledgers and in time", async () => {
      const newest = 30_000 as LedgerSequence;
      const at = async (account: string, ledger: number, time: string | null) =>
        dataSource().query(
          "UPDATE stream_cursors SET starting_cursor = 0, watermark = $2, settled_through = $3 WHERE account = $1",
          [account, endOfLedger(ledger as LedgerSequence).toString(), time],
        );
      await at(spine.owner.account, 29_990, "2026-01-02T00:00:00Z");
      await joinNetwork(dataSource(), newest, 4);
      await watch(3);
      const [, near, timeless, far] = owners;
      await at(near?.account ?? "", 29_980, "2026-01-01T00:00:00Z");
      await at(timeless?.account ?? "", 29_000, null);
      await at(far?.account ?? "", 28_000, "2026-01-01T00:00:00Z");
      expect(await joinNetwork(dataSource(), newest, 4)).to.have.length(1);
      const set = await readNetworkSet(dataSource());
      expect(set?.cursor.watermark).to.equal(endOfLedger(29_980 as LedgerSequence));
      expect(set?.cursor.settledThrough?.toISOString()).to.equal("2026-01-01T00:00:00.000Z");
      await at(timeless?.account ?? "", 29_985, null);
      expect(await joinNetwork(dataSource(), newest, 4)).to.have.length(1);
      expect((await readNetworkSet(dataSource()))?.cursor.settledThrough).to.equal(null);
      // The feed itself has fallen behind: for a newcomer its whole backlog would be read again.
      await at(far?.account ?? "", 39_999, null);
      expect(await joinNetwork(dataSource(), 40_000 as LedgerSequence, 4)).to.have.length(0);
    });

    it("a hole in the server's history halts the feed with an alarm, and nothing is skipped", async () => {
      await using own = await Spine.open(mode, { retention: 5 });
      const { stage, redis } = own;
      const of = own.database.dataSource;
      const newest = () => stage.network.latest.sequence as LedgerSequence;
      await joinNetwork(of, newest(), 4);
      payAll(stage, own.payer, await own.sessions(1));
      for (let i = 0; i < 10; i++) stage.network.closeLedger();
      own.ingest(1, stage.network.passphrase, ON);
      own.consume();
      await eventually(async () => {
        const set = await readNetworkSet(of);
        return set?.cursor.haltedBecause?.includes("no longer has ledgers") === true;
      });
      const lengths = await Promise.all(networkStreams(4).map((stream) => redis.xlen(streamKey(stream))));
      expect(lengths, "nothing was read past the hole").to.deep.equal([0, 0, 0, 0]);
      const { account } = own.owner;
      const elder = (newest() - 4) as LedgerSequence;
      const alone = await acceptHole(of, account, elder, "by hand").catch((error: Error) => error.name);
      expect(alone).to.equal("ReadTogetherError");
      const hole = await acceptNetworkHole(of, elder, "by hand");
      expect(hole?.missingTo).to.equal(endOfLedger((elder - 1) as LedgerSequence));
      expect(await acceptNetworkHole(of, elder, "again")).to.equal(null);
      const holes = await of.query("SELECT account, missing_to, reason FROM history_holes");
      expect(holes).to.deep.equal([{ account, missing_to: String(hole?.missingTo), reason: "by hand" }]);
      expect((await readNetworkSet(of))?.cursor.haltedBecause).to.equal(null);
    });

    it("what can't be read is an exception of the account that it names; what names nobody is set apart", async () => {
      await watch(1);
      read();
      spine.consume();
      await joined();
      const { network } = spine.stage;
      const [first, second] = owners;
      if (first === undefined || second === undefined) throw new Error("no owners");
      const accounts = [first.account];
      network.inject({
        kind: "record",
        accounts,
        record: { type: "quantum", type_i: 99, whom: second.account },
      });
      network.inject({
        kind: "record",
        accounts,
        record: { type: "payment", type_i: 1, source_account: null },
      });
      network.closeLedger();
      const all = await sessions(2);
      pay(all);
      await spine.settledAll(all.length + 1);
      const exceptions: { account: string; reason: string }[] = await dataSource().query(
        "SELECT account, reason FROM payment_exceptions JOIN credits USING (operation_id, move_index)",
      );
      expect(exceptions).to.deep.equal([{ account: second.account, reason: "unreadable" }]);
      await eventually(async () => {
        const lengths = networkStreams(4).map((stream) => spine.redis.xlen(deadLetterKey(stream)));
        return (await Promise.all(lengths)).reduce((a, b) => a + b) === 1;
      });
      const status = await collectStatus({
        dataSource: dataSource(),
        redis: spine.redis,
        lockServers: [],
        lockMode: "off",
        statusLimits: LIMITS,
      });
      expect(status.network).to.deep.equal({ accounts: 2, set_apart: 1 });
      expect(status.accounts.map(({ account }) => account)).to.deep.equal([NETWORK]);
      expect(status.accounts[0]?.stream?.leader).to.match(/^ingest-/);
      expect(status.problems.join()).to.include("1 records of the network's feed name no account");
    });
  });
