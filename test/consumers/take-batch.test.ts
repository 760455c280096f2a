import { expect } from "chai";
import { takeBatch } from "../../src/consumers/take-batch.js";
import { type Credit, creditKeyText } from "../../src/stellar/credit.js";
import { parseMemoKey } from "../../src/stellar/memo.js";
import { parseOperationId } from "../../src/stellar/operation-id.js";
import type { StreamEntry } from "../../src/stream/entry.js";
import { anUnreadable, aSession, creditFor, newAccount } from "../support/books.js";

const [ours, other] = [newAccount(), newAccount()];

/** An entry that names sessions by its memo and its muxed id, as far as it has them. */
function entry(id: number, { memo, muxed, account = ours }: Named = {}): StreamEntry {
  const movement: Credit = creditFor(aSession({ account, merchantId: "" }), {
    operationId: parseOperationId(`${id}`),
    memo: memo === undefined ? null : parseMemoKey(memo),
    muxed: muxed === undefined ? null : parseMemoKey(muxed),
  });
  return { stream: account, id: creditKeyText(movement), movement, trace: null };
}
type Named = { memo?: string; muxed?: string; account?: typeof ours };

const ids = (entries: readonly StreamEntry[]) => entries.map(({ id }) => id);

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
    const nonsense: StreamEntry[] = ["1-0", "2-0"].map((id) => {
      return { stream: ours, id, movement: anUnreadable(ours), trace: null };
    });
    expect(ids(takeBatch(nonsense, [], 10).batch)).to.deep.equal(["1-0", "2-0"]);
  });
});
