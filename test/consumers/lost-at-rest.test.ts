import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { AccountFeed } from "../../src/ingest/account-feed.js";
import type { Feed, IngestParts } from "../../src/ingest/feed.js";
import { FeedLeader, Notifier } from "../../src/ingest/lead-feed.js";
import { advanceNetwork, readNetworkSet } from "../../src/ingest/network-feed.js";
import type { NetworkOptions } from "../../src/ingest/network-lead.js";
import { joinNetwork } from "../../src/ingest/network-members.js";
import { advanceWatermark } from "../../src/ingest/watermark.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../../src/stellar/operation-id.js";
import { readPosition, type Tail } from "../../src/stream/append-entries.js";
import { claimStream } from "../../src/stream/claim-stream.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { networkStreams } from "../../src/stream/streams.js";
import { payAll } from "../support/ingest.js";
import { watchLedgers } from "../support/ledgers.js";
import { Spine } from "../support/spine.js";
import { eventually, silent } from "../support/stream.js";

const ON: NetworkOptions = { mode: "on", requestsPerHour: 0, streams: 4, joinEveryMs: 100 };

/** Faults that the next payment would hide: here nobody pays afterwards. */
describe("a leader of ingest at rest", () => {
  let spine: Spine;

  beforeEach(async () => {
    spine = await Spine.open("off");
  });
  afterEach(() => spine[Symbol.asyncDispose]());

  const newest = (of = spine) => of.stage.network.latest.sequence as LedgerSequence;

  it("G4: sees that its account's stream is lost, and reads again what was in it", async () => {
    const all = await spine.sessions(3);
    const key = streamKey(spine.owner.account);
    spine.ingest();
    payAll(spine.stage, spine.payer, all);
    await eventually(async () => (await spine.redis.xlen(key)) === all.length);
    await spine.redis.del(key);
    spine.consume();
    await spine.settledAll(all.length);
    await spine.expectBooksToBalance(all.length);
  }).timeout(60_000);

  it("G4: sees that the network's streams are lost, and reads again what was in them", async () => {
    const all = await spine.sessions(3);
    const keys = networkStreams(ON.streams).map(streamKey);
    spine.ingest(1, spine.stage.network.passphrase, ON);
    await eventually(async () => (await readNetworkSet(spine.database.dataSource)) !== null);
    payAll(spine.stage, spine.payer, all);
    await eventually(async () => {
      const lengths = await Promise.all(keys.map((key) => spine.redis.xlen(key)));
      return lengths.reduce((a, b) => a + b) === all.length;
    });
    await Promise.all(keys.map((key) => spine.redis.del(key)));
    spine.consume();
    await spine.settledAll(all.length);
    await spine.expectBooksToBalance(all.length);
  }).timeout(60_000);

  it("proves nothing by a stream that ends elsewhere: no watermark moves, of an account or of the network", async () => {
    const { redis, owner } = spine;
    const { dataSource } = spine.database;
    const { account } = owner;
    // Beyond everything: what a leader has appended last, before the stream was lost.
    const appended = `${endOfLedger((newest() + 9) as LedgerSequence)}-0` as Tail;
    const before = await spine.watermark();
    const alone = await advanceWatermark(redis, dataSource, account, new Map([[account, appended]]), null);
    expect(alone).to.equal(false);
    expect(await spine.watermark()).to.deep.equal(before);
    expect((await readPosition(redis, account)).tail).to.equal("0-0");

    await joinNetwork(dataSource, newest(), 1);
    const set = await readNetworkSet(dataSource);
    const [stream] = networkStreams(1);
    if (set === null || stream === undefined) throw new Error("nobody is in the feed");
    const { version, watermark } = set.cursor;
    await claimStream(redis, stream, version);
    const together = await advanceNetwork(redis, dataSource, version, new Map([[stream, appended]]), null);
    expect(together).to.equal(false);
    expect((await readNetworkSet(dataSource))?.cursor.watermark).to.equal(watermark);
  });

  /** Leads with parts of its own until `work` ends. */
  async function leading(
    of: Spine,
    observer: IngestParts["observer"],
    feedOf: (parts: IngestParts) => Feed,
    work: () => Promise<void>,
  ): Promise<void> {
    const horizon = new HorizonClient({ url: of.stage.sandbox.url });
    const network = new NetworkView(horizon, of.stage.network.passphrase);
    const ledgers = watchLedgers(horizon, network);
    const { redis } = of;
    const { dataSource } = of.database;
    const given = observer === undefined ? {} : { observer };
    const notifier = new Notifier();
    const stopping = new AbortController();
    ledgers.start();
    const stopCalling = ledgers.onLedger(() => notifier.notify());
    const parts = { redis, dataSource, horizon, network, ledgers, logger: silent, ...given };
    const led = new FeedLeader(parts, feedOf(parts), notifier, stopping.signal).run();
    try {
      await work();
    } finally {
      stopping.abort();
      await led;
      stopCalling();
      await ledgers.stop();
    }
  }

  it("has read as far as its page goes where that is not the last, whatever ledger is the newest", async () => {
    const { account } = spine.owner;
    payAll(spine.stage, spine.payer, await spine.sessions(250));
    const end = endOfLedger(newest());
    const reached: OperationId[] = [];
    const observer = {
      appended: () => undefined,
      read: (_: unknown, cursor: OperationId) => void reached.push(cursor),
      left: () => undefined,
      chose: () => undefined,
    };
    const feedOf = (parts: IngestParts) => new AccountFeed(parts, account);
    await leading(spine, observer, feedOf, () => eventually(async () => reached.includes(end)));
    const [first, second] = reached;
    expect(first !== undefined && first < end, `after the first page of two: ${first}`).to.equal(true);
    expect(second, "after the last one").to.equal(end);
  });

  it("refuses a page whose ledgers the server forgot while it was read", async () => {
    await using forgetful = await Spine.open("off", { retention: 5 });
    const { stage, payer, redis, owner } = forgetful;
    const { account } = owner;
    const [lost, kept] = await forgetful.sessions(2);
    if (lost === undefined || kept === undefined) throw new Error("no sessions");
    payAll(stage, payer, [lost]);
    let hasForgotten = false;
    const forget = () => {
      if (hasForgotten) return;
      hasForgotten = true;
      for (let i = 0; i < 10; i++) stage.network.closeLedger();
      payAll(stage, payer, [kept]);
    };
    class ForgetfulFeed extends AccountFeed {
      override read(...asked: Parameters<AccountFeed["read"]>): ReturnType<AccountFeed["read"]> {
        forget();
        return super.read(...asked);
      }
    }
    const feedOf = (parts: IngestParts) => new ForgetfulFeed(parts, account);
    await leading(forgetful, undefined, feedOf, async () => {
      await eventually(async () => {
        const { haltedBecause } = await forgetful.watermark();
        return haltedBecause !== null || (await redis.xlen(streamKey(account))) > 0;
      });
    });
    expect(await redis.xlen(streamKey(account)), "nothing was read past the hole").to.equal(0);
    expect((await forgetful.watermark()).haltedBecause).to.match(/no longer has ledgers/);
  });
});
