import { expect } from "chai";
import { takeBatch } from "../../src/consumers/take-batch.js";
import type { Delivery } from "../../src/stream/consumer-group.js";
import { newAccount } from "../support/books.js";

const [ours, other] = [newAccount(), newAccount()];

/** An entry that names sessions by its memo and its muxed id, as far as it has them. */
function entry(id: number, { memo, muxed, account = ours }: Named = {}): Delivery {
  const fields = ["v", "1", "kind", "credit"];
  if (memo !== undefined) fields.push("memo", memo);
  if (muxed !== undefined) fields.push("muxed", muxed);
  return { stream: account, entry: [`${id}-0`, fields] };
}
type Named = { memo?: string; muxed?: string; account?: typeof ours };

const ids = (deliveries: readonly Delivery[]) => deliveries.map((delivery) => delivery.entry[0]);

describe("batches in flight at the same time", () => {
  it("take what waits in its order, up to their size", () => {
    const waiting = [1, 2, 3].map((id) => entry(id, { memo: `id:${id}` }));
    const { batch, rest } = takeBatch(waiting, [], 2);
    expect(ids(batch)).to.deep.equal(["1-0", "2-0"]);
    expect(ids(rest)).to.deep.equal(["3-0"]);
  });

  it("hold several credits of one session together, in their order", () => {
    const { batch, rest } = takeBatch([entry(1, { memo: "id:1" }), entry(2, { memo: "id:1" })], [], 2);
    expect(ids(batch)).to.deep.equal(["1-0", "2-0"]);
    expect(rest).to.deep.equal([]);
  });

  it("share no session, by memo, muxed id or typed number, but on another account it is another session", () => {
    const inFlight = [entry(1, { memo: "id:1", muxed: "muxed:7" })];
    const waiting = [
      entry(2, { memo: "id:7" }),
      entry(3, { memo: "id:2", muxed: "muxed:7" }),
      entry(4, { memo: "text:37" }),
      entry(5, { memo: "id:7", account: other }),
      entry(6, { memo: "id:1" }),
      entry(7),
    ];
    const { batch, rest } = takeBatch(waiting, inFlight, 10);
    expect(ids(batch)).to.deep.equal(["5-0", "6-0", "7-0"]);
    expect(ids(rest)).to.deep.equal(["2-0", "3-0", "4-0"]);
  });

  it("don't overtake an entry that waits for the session that it names", () => {
    const inFlight = [entry(1, { memo: "id:2" })];
    const waiting = [
      entry(2, { memo: "id:1", muxed: "muxed:2" }),
      entry(3, { muxed: "muxed:2" }),
      entry(4, { memo: "id:4" }),
    ];
    const { batch, rest } = takeBatch(waiting, inFlight, 10);
    expect(ids(batch)).to.deep.equal(["4-0"]);
    expect(ids(rest)).to.deep.equal(["2-0", "3-0"]);
  });

  it("read entries that nobody understands as naming nothing", () => {
    const nonsense: Delivery[] = [
      { stream: ours, entry: ["1-0", null] },
      { stream: ours, entry: ["2-0", ["memo"]] },
    ];
    expect(ids(takeBatch(nonsense, [], 10).batch)).to.deep.equal(["1-0", "2-0"]);
  });
});
