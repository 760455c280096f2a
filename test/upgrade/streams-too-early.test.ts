import { expect } from "chai";
import { changeShards } from "../../src/ingest/account-feed.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { networkStreams, streamsOf } from "../../src/stream/streams.js";
import { SabotageStage } from "../chaos/sabotage/stage.js";
import { findContradictions, readBooks } from "../support/books.js";
import { eventually } from "../support/stream.js";
import { type Previous, previousOrSkip } from "./previous.js";
import { PREVIOUS_VERSION } from "./previous-version.js";

/** The last commit that knows one stream for an account alone. Later versions know several: then this is to be deleted. */
const KNOWS_ONE_STREAM = "64905a8ff41ba59a857af8cceeb4af5f5ca8938a";

/** The default. */
const NETWORK_STREAMS = 8;

/** What docs/operations.md says of those who run `paidonce shards` while the previous version is still at work. */
describe("new streams before every process knows them: credits wait, and none is lost", function () {
  // Processes are started one after the other, and each takes long on a busy machine.
  this.timeout(600_000);
  let previous: Previous;
  let stage: SabotageStage;
  let account: AccountId;

  before(async function () {
    if (PREVIOUS_VERSION !== KNOWS_ONE_STREAM) this.skip();
    previous = await previousOrSkip(this);
    await SabotageStage.openShared();
  });
  after(() => SabotageStage.closeShared());
  beforeEach(async () => {
    stage = await SabotageStage.open({ listens: false });
    account = stage.shop.account;
  });
  afterEach(() => stage?.close());

  it("an older consumer does not read the shards; a newer one settles what waits in them", async () => {
    await changeShards(stage.scene.dataSource, account, 2);
    await stage.start("ingest", []);
    await stage.start("consume", [], {}, { cli: previous.cli });
    await stage.payNew(4);
    await stage.streamHolds(4, streamsOf(account, 2));
    expect(await recorded()).to.equal(0);
    await stage.start("consume", []);
    expect((await stage.prove()).findings).to.deep.equal([]);
    expect(await recorded()).to.equal(4);
  });

  it("an older ingest leads: what it writes is for older consumers; a newer ingest appends it once more, from the watermark", async () => {
    await changeShards(stage.scene.dataSource, account, 2);
    const older = await stage.start("ingest", [], {}, { cli: previous.cli });
    await stage.start("consume", []);
    await stage.payNew(4);
    await stage.streamHolds(4);
    expect(await recorded()).to.equal(0);
    older.send("SIGTERM");
    await older.ended;
    await stage.start("ingest", []);
    expect((await stage.prove()).findings).to.deep.equal([]);
    expect(await recorded()).to.equal(4);
    await stage.streamHolds(0);
  });

  it("so it is with the network's feed: what is in its streams waits for a consumer that reads them", async () => {
    await stage.start("ingest", [], { NETWORK_MODE: "on" });
    await stage.start("consume", [], {}, { cli: previous.cli });
    await stage.payNew(4);
    await stage.streamHolds(4, networkStreams(NETWORK_STREAMS));
    expect(await recorded()).to.equal(0);
    await stage.start("consume", []);
    await eventually(async () => (await recorded()) === 4);
    expect(findContradictions(await readBooks(stage.scene.dataSource))).to.deep.equal([]);
  });

  async function recorded(): Promise<number> {
    const [{ n }] = await stage.scene.dataSource.query("SELECT count(*)::int AS n FROM credits");
    return n;
  }
});
