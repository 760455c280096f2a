import { expect } from "chai";
import fc from "fast-check";
import { takeBatch } from "../../src/consumers/take-batch.js";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { NamedSessions } from "../../src/settlement/find-sessions.js";
import type { Credit } from "../../src/stellar/credit.js";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { referenceOf, referenceOfKey } from "../../src/stellar/reference.js";
import { decodeEntry, encodeEntry, encodeNetworkEntry } from "../../src/stream/entry.js";
import { networkStreamFor, networkStreams, streamFor, streamsOf } from "../../src/stream/streams.js";
import { aSession, creditFor, newAccount } from "../support/books.js";

const text = (value: string) => textMemo(Buffer.from(value));
const uint64 = fc.bigInt(0n, 2n ** 64n - 1n);

/** Few values, so that two of them often name the same. */
const numbers = fc.constantFrom("0", "7", "12", "18446744073709551615");
const keys: fc.Arbitrary<MemoKey> = fc.oneof(
  numbers.map((id) => idMemo(id)),
  numbers.map((id) => muxedId(id)),
  fc.oneof(numbers, fc.constantFrom("07", " 7", "7 ", "+7", "18446744073709551616", "x")).map(text),
  fc.constantFrom("hash" as const, "return" as const).map((kind) => hashMemo(kind, Buffer.alloc(32, 7))),
);
const namings = fc.record({
  muxed: fc.option(numbers.map((id) => muxedId(id))),
  memo: fc.option(keys),
});

describe("what a credit names", () => {
  it("an id memo, a muxed id and a text memo of one number are one reference", () => {
    fc.assert(
      fc.property(uint64, (id) => {
        const expected = `id:${id}`;
        expect(referenceOf({ muxed: muxedId(id), memo: null })).to.equal(expected);
        expect(referenceOf({ muxed: null, memo: idMemo(id) })).to.equal(expected);
        expect(referenceOf({ muxed: null, memo: text(`${id}`) })).to.equal(expected);
      }),
    );
  });

  it("a text memo that is not exactly a uint64 in decimal is its bytes", () => {
    for (const value of [
      "",
      "007",
      "00",
      " 7",
      "7 ",
      "7\n",
      "+7",
      "-7",
      "7.0",
      "1e3",
      "0x7",
      "７",
      "18446744073709551616",
    ]) {
      expect(referenceOfKey(text(value)), JSON.stringify(value)).to.equal(text(value));
    }
    expect(referenceOfKey("context:37" as MemoKey), "no memo key at all").to.equal("context:37");
    expect(referenceOfKey(text("0"))).to.equal("id:0");
    expect(referenceOfKey(text("18446744073709551615"))).to.equal("id:18446744073709551615");
  });

  it("the muxed id counts, and the memo beside it does not, whatever it says", () => {
    fc.assert(
      fc.property(uint64, keys, (id, memo) => {
        expect(referenceOf({ muxed: muxedId(id), memo })).to.equal(`id:${id}`);
      }),
    );
    expect(referenceOf({ muxed: null, memo: null })).to.equal(null);
  });

  it("two credits that name one session are in one stream, of an account's shards and of the network's", () => {
    const owner = { account: newAccount(), merchantId: "" };
    fc.assert(
      fc.property(keys, namings, namings, fc.integer({ min: 1, max: 64 }), (memoKey, one, other, count) => {
        const session = aSession(owner, { memoKey });
        const sessions = new NamedSessions<CheckoutSession>([session]);
        const [a, b] = [creditFor(session, one), creditFor(session, other)];
        if (sessions.of(a) === null || sessions.of(b) === null) return;
        const shards = streamsOf(owner.account, count);
        expect(streamFor(a, shards)).to.equal(streamFor(b, shards));
        const streams = networkStreams(count);
        expect(networkStreamFor(a, streams)).to.equal(networkStreamFor(b, streams));
      }),
      { numRuns: 20_000 },
    );
  });

  it("no batch begins a credit of a session before one that came earlier, whichever way each names it", () => {
    const owner = { account: newAccount(), merchantId: "" };
    const lists = fc.array(namings, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(keys, lists, fc.nat(11), fc.integer({ min: 1, max: 5 }), (memoKey, names, begun, size) => {
        const session = aSession(owner, { memoKey });
        const sessions = new NamedSessions<CheckoutSession>([session]);
        const credits: Credit[] = names.map((naming) => creditFor(session, naming));
        const entries = credits.map((credit, i) => {
          const fields = (i % 2 ? encodeEntry : encodeNetworkEntry)(credit);
          const entry = decodeEntry({ stream: owner.account, id: `${credit.operationId}-0`, fields });
          return entry ?? expect.fail("no account");
        });
        const [inFlight, waiting] = [entries.slice(0, begun), entries.slice(begun)];
        const { batch } = takeBatch(waiting, inFlight, size);
        const mine = entries.filter((_, i) => sessions.of(credits[i] ?? expect.fail("no credit")) !== null);
        const isFree = !inFlight.some((entry) => mine.includes(entry));
        const taken = batch.filter((entry) => mine.includes(entry));
        if (!isFree) expect(taken).to.deep.equal([]);
        const waitingOfMine = waiting.filter((entry) => mine.includes(entry));
        expect(taken).to.deep.equal(waitingOfMine.slice(0, taken.length));
      }),
      { numRuns: 5_000 },
    );
  });
});
