import { expect } from "chai";
import fc from "fast-check";
import {
  describeMemo,
  hashMemo,
  InvalidMemoError,
  idMemo,
  type MemoFields,
  memoOfTransaction,
  memoParts,
  muxedId,
  parseMemoKey,
  textMemo,
} from "../../src/stellar/memo.js";

const MAX_UINT64 = 2n ** 64n - 1n;
const uint64 = fc.bigInt(0n, MAX_UINT64);
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("memo", () => {
  it("a text memo is its exact bytes, UTF-8 or not", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 28 }), (bytes) => {
        const served = Buffer.from(bytes);
        const fields = {
          memo_type: "text",
          memo: served.toString("utf8"),
          memo_bytes: served.toString("base64"),
        };
        expect(memoOfTransaction(fields)).to.equal(`text:${served.toString("hex")}`);
      }),
    );
  });

  it("hash and return memos are base64 and stay different kinds", () => {
    fc.assert(
      fc.property(bytes32, (bytes) => {
        const [memo, hex] = [Buffer.from(bytes).toString("base64"), Buffer.from(bytes).toString("hex")];
        expect(memoOfTransaction({ memo_type: "hash", memo })).to.equal(`hash:${hex}`);
        expect(memoOfTransaction({ memo_type: "return", memo })).to.equal(`return:${hex}`);
      }),
    );
  });

  it("every uint64 id is read exactly, past 2^53 too", () => {
    fc.assert(
      fc.property(uint64, (id) => memoOfTransaction({ memo_type: "id", memo: `${id}` }) === `id:${id}`),
    );
    expect(idMemo(`${MAX_UINT64}`)).to.equal(`id:${MAX_UINT64}`);
  });

  it("the text 7, the id 7 and the muxed id 7 are three different keys", () => {
    expect(new Set([textMemo(Buffer.from("7")), idMemo("7"), muxedId("7")]).size).to.equal(3);
  });

  it("no memo is null, and an empty text memo is not: it was sent", () => {
    expect(memoOfTransaction({ memo_type: "none" })).to.equal(null);
    expect(memoOfTransaction({ memo_type: "text", memo: "", memo_bytes: "" })).to.equal("text:");
  });

  it("an old server's text without memo_bytes is read where it can't have lost a byte", () => {
    expect(memoOfTransaction({ memo_type: "text", memo: "né" })).to.equal("text:6ec3a9");
    refused({ memo_type: "text", memo: "n\uFFFD" });
  });

  const BAD: [string, MemoFields][] = [
    ["an unknown type", { memo_type: "blob", memo: "x" }],
    ["no type", {}],
    ["a text memo without text", { memo_type: "text" }],
    ["a text memo of 29 bytes", { memo_type: "text", memo_bytes: Buffer.alloc(29).toString("base64") }],
    ["memo_bytes that are no base64", { memo_type: "text", memo: "a", memo_bytes: "a?==" }],
    ["memo_bytes cut in the middle", { memo_type: "text", memo: "a", memo_bytes: "YWJjZ" }],
    ["memo_bytes null", { memo_type: "text", memo: "a", memo_bytes: null }],
    ["an id that is a number", { memo_type: "id", memo: 7 }],
    ["a negative id", { memo_type: "id", memo: "-1" }],
    ["an id over uint64", { memo_type: "id", memo: `${MAX_UINT64 + 1n}` }],
    ["an id with an exponent", { memo_type: "id", memo: "1e3" }],
    ["a hash of 31 bytes", { memo_type: "hash", memo: Buffer.alloc(31).toString("base64") }],
    ["a hash in hex", { memo_type: "hash", memo: "00".repeat(32) }],
  ];
  for (const [name, fields] of BAD) it(`${name} is refused, not guessed`, () => refused(fields));

  it("each meaning has one text: what is stored parses back, other spellings don't", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 28 }), bytes32, uint64, (text, hash, id) => {
        const keys = [
          textMemo(text),
          hashMemo("hash", hash),
          hashMemo("return", hash),
          idMemo(id),
          muxedId(id),
        ];
        for (const key of keys) expect(parseMemoKey(key)).to.equal(key);
      }),
    );
    expect(idMemo("007")).to.equal("id:7");
    for (const text of [
      "id:007",
      "id:",
      "id:18446744073709551616",
      "muxed:18446744073709551616",
      "id:184467440737095516150",
      "xid:7",
      "id:7 ",
      "text:A0",
      "text:0",
      "hash:00",
      "7",
      "muxed:-1",
    ]) {
      expect(() => parseMemoKey(text), text).to.throw(InvalidMemoError);
    }
  });

  it("a person sees text where it is text, and bytes where it is not", () => {
    expect(describeMemo(null)).to.equal("no memo");
    expect(describeMemo(textMemo(Buffer.from("order 7")))).to.equal('text:"order 7"');
    expect(describeMemo(textMemo(Uint8Array.of(0xff)))).to.equal("text:ff");
    expect(describeMemo(idMemo("7"))).to.equal("id:7");
  });

  it("a payer is told each kind of memo as wallets name it, and the bytes where text loses some", () => {
    const hash = Buffer.alloc(32, 7);
    const hex = hash.toString("hex");
    const of = (type: string, value: string) => ({ memo: { type, value }, muxedId: null });
    expect(memoParts(textMemo(Buffer.from("né: 7")))).to.deep.equal(of("text", "né: 7"));
    expect(memoParts(textMemo(Buffer.alloc(0)))).to.deep.equal(of("text", ""));
    expect(memoParts(idMemo("7"))).to.deep.equal(of("id", "7"));
    expect(memoParts(hashMemo("hash", hash))).to.deep.equal(of("hash", hex));
    expect(memoParts(hashMemo("return", hash))).to.deep.equal(of("return", hex));
    expect(memoParts(muxedId("7"))).to.deep.equal({ memo: null, muxedId: "7" });
    expect(memoParts(textMemo(Uint8Array.of(0x61, 0xff)))).to.deep.equal({
      memo: { type: "text", value: "a\uFFFD", base64: "Yf8=" },
      muxedId: null,
    });
  });

  it("a text memo may have 28 bytes, and none more", () => {
    expect(textMemo(Buffer.alloc(28, "x"))).to.equal(`text:${"78".repeat(28)}`);
    expect(() => textMemo(Buffer.alloc(29)))
      .to.throw(InvalidMemoError)
      .with.property("name", "InvalidMemoError");
  });
});

function refused(fields: MemoFields): void {
  expect(() => memoOfTransaction(fields)).to.throw(InvalidMemoError);
}
