import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import { readPage } from "../../src/horizon/read-page.js";
import { ingestAccount } from "../../src/ingest/account-feed.js";
import { Bell, type Feed, type IngestParts, ingestFeed, resumeAfter } from "../../src/ingest/lead-feed.js";
import { advanceNetwork, readNetworkSet } from "../../src/ingest/network-feed.js";
import type { NetworkOptions } from "../../src/ingest/network-lead.js";
import { joinNetwork } from "../../src/ingest/network-members.js";
import { advanceWatermark, haltAccount, provenTails, readCursor } from "../../src/ingest/watermark.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../../src/stellar/operation-id.js";
import { readPosition, type Tail } from "../../src/stream/append-entries.js";
import { claimStream } from "../../src/stream/claim-stream.js";
import { entryKeyring } from "../../src/stream/entry-keys.js";
import { streamKey } from "../../src/stream/stream-keys.js";
import { networkStreams, streamFor } from "../../src/stream/streams.js";
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
    lead: (parts: IngestParts, bell: Bell, signal: AbortSignal) => Promise<void>,
    work: () => Promise<void>,
  ): Promise<void> {
    const horizon = new HorizonClient({ url: of.stage.sandbox.url });
    const network = new NetworkView(horizon, of.stage.network.passphrase);
    const ledgers = watchLedgers(horizon, network);
    const { redis } = of;
    const { dataSource } = of.database;
    const given = observer === undefined ? {} : { observer };
    const bell = new Bell();
    const stopping = new AbortController();
    ledgers.start();
    const stopCalling = ledgers.onLedger(() => bell.ring());
    const parts = { redis, dataSource, horizon, network, ledgers, logger: silent, ...given };
    const led = lead(parts, bell, stopping.signal);
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
    const lead = (parts: IngestParts, bell: Bell, signal: AbortSignal) =>
      ingestAccount(parts, account, bell, signal);
    await leading(spine, observer, lead, () => eventually(async () => reached.includes(end)));
    const [first, second] = reached;
    expect(first !== undefined && first < end, `after the first page of two: ${first}`).to.equal(true);
    expect(second, "after the last one").to.equal(end);
  });

  it("refuses a page whose ledgers the server forgot while it was read", async () => {
    await using forgetful = await Spine.open("off", { retention: 5 });
    const { stage, payer, redis, owner, database } = forgetful;
    const { dataSource } = database;
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
    const feedOf = (parts: IngestParts): Feed => ({
      name: account,
      halt: (why) => haltAccount(dataSource, account, why),
      resume: async () => {
        const { watermark } = await readCursor(dataSource.manager, account);
        const tails = await provenTails(parts, [account]);
        return {
          cursor: resumeAfter(tails.values(), watermark),
          tails,
          lanes: { feed: account, streamOf: streamFor, marked: false, keyring: entryKeyring(dataSource) },
          read: (after, limit, signal) => {
            forget();
            return readPage(parts.horizon, account, after, limit, signal);
          },
          advance: (now, scanned) => advanceWatermark(redis, dataSource, account, now, scanned),
        };
      },
    });
    const lead = (parts: IngestParts, bell: Bell, signal: AbortSignal) =>
      ingestFeed(parts, feedOf(parts), bell, signal);
    await leading(forgetful, undefined, lead, async () => {
      await eventually(async () => {
        const { haltedBecause } = await forgetful.watermark();
        return haltedBecause !== null || (await redis.xlen(streamKey(account))) > 0;
      });
    });
    expect(await redis.xlen(streamKey(account)), "nothing was read past the hole").to.equal(0);
    expect((await forgetful.watermark()).haltedBecause).to.match(/no longer has ledgers/);
  });
});
