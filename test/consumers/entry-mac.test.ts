import { createHmac, createSecretKey } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import type { RawEntry } from "../../src/stream/entry.js";
import type { EntryKey } from "../../src/stream/entry-keys.js";
import { idIn, isGenuine, isTailSigned, keyIdOf, signEntry, signTail } from "../../src/stream/entry-mac.js";
import { newAccount } from "../support/books.js";
import { TEST_KEY } from "../support/entry-key.js";

const OTHER_KEY: EntryKey = { id: 2, secret: createSecretKey(Buffer.alloc(32, "other")) };
const KEYS = new Map([TEST_KEY, OTHER_KEY].map((key) => [key.id, key]));
const STREAM = newAccount();
const ID = "12884905985-0";

const raw = (fields: readonly string[] | null): RawEntry => ({ stream: STREAM, id: ID, fields });
const signed = (fields: readonly string[], key = TEST_KEY): RawEntry =>
  raw(signEntry(key, STREAM, ID, fields));
/** The same entry with another signature. */
const resigned = ({ fields }: RawEntry, signature: string): RawEntry =>
  raw([...(fields ?? []).slice(0, -1), signature]);
const fieldsOf = ({ fields }: RawEntry) => fields ?? expect.fail("no fields");
const signatureOf = (entry: RawEntry) => fieldsOf(entry).at(-1) ?? expect.fail("no signature");
const isOurs = (entry: RawEntry) => isGenuine(KEYS, entry);

describe("the signature of an entry", () => {
  const entry = signed(["kind", "credit", "amount", "1"]);

  it("is the key's id and 128 bits of the HMAC of stream, id and fields, each with its length", () => {
    const texts = ["entry", STREAM, ID, "kind", "credit"].map((part) => `${part.length}:${part}`).join("");
    const mac = createHmac("sha256", TEST_KEY.secret).update(texts).digest().subarray(0, 16);
    expect(fieldsOf(signed(["kind", "credit"]))).to.deep.equal([
      "kind",
      "credit",
      "mac",
      `1.${mac.toString("base64url")}`,
    ]);
  });

  it("makes an entry genuine, under every key that is accepted, and under no other", () => {
    for (const key of KEYS.values()) expect(isOurs(signed(["kind", "credit"], key))).to.equal(true);
    expect(isOurs(signed(["kind", "credit"], { ...OTHER_KEY, id: 1 })), "another secret").to.equal(false);
    expect(isOurs(signed(["kind", "credit"], { ...OTHER_KEY, id: 3 })), "no such key").to.equal(false);
  });

  it("is of one stream, one id and every field: an entry with any other is forged", () => {
    expect(isOurs({ ...entry, stream: newAccount() })).to.equal(false);
    expect(isOurs({ ...entry, id: "12884905985-1" })).to.equal(false);
    const part = fc.string({ maxLength: 3 });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.array(part, { maxLength: 6 }), (fields, others) => {
        const moved = raw([...others, "mac", signatureOf(signed(fields))]);
        expect(isOurs(signed(fields))).to.equal(true);
        expect(isOurs(moved)).to.equal(JSON.stringify(fields) === JSON.stringify(others));
      }),
      {
        examples: [
          [
            ["ab", "c"],
            ["a", "bc"],
          ],
        ],
      },
    );
  });

  it("that is broken in any way is none", () => {
    const mac = signatureOf(entry).slice(2);
    const broken = [
      "",
      mac,
      `1.${mac}=`,
      `1.${mac.slice(1)}`,
      `1.${mac}A`,
      ` 1.${mac}`,
      `x1.${mac}`,
      `.${mac}`,
    ];
    for (const signature of [...broken, `1.${"*".repeat(22)}`, `1234567890.${mac}`, `01x.${mac}`]) {
      expect(isOurs(resigned(entry, signature)), signature).to.equal(false);
      expect(keyIdOf(resigned(entry, signature)), signature).to.equal(null);
    }
  });

  it("stands last, under its name: elsewhere it says nothing", () => {
    const [signature, rest] = [signatureOf(entry), fieldsOf(entry).slice(0, -2)];
    for (const fields of [
      [...rest, "sig", signature],
      ["mac", signature, ...rest],
      rest,
      ["mac"],
      [],
      null,
    ]) {
      expect(isOurs(raw(fields))).to.equal(false);
      expect(keyIdOf(raw(fields))).to.equal(null);
    }
  });

  it("names the key that it was made with, which may not be known here yet", () => {
    expect(keyIdOf(entry)).to.equal(1);
    expect(keyIdOf(signed([], { ...OTHER_KEY, id: 123_456_789 }))).to.equal(123_456_789);
    expect(idIn(signatureOf(entry))).to.equal(1);
    expect(idIn(undefined)).to.equal(null);
  });

  it("of an entry over 16 Mi characters is not even looked at", () => {
    const most = 16 * 1024 * 1024;
    const overhead = fieldsOf(signed([""])).reduce((sum, text) => sum + text.length, 0);
    expect(isOurs(signed(["x".repeat(most - overhead)]))).to.equal(true);
    expect(isOurs(signed(["x".repeat(most - overhead + 1)]))).to.equal(false);
  });
});

describe("the signature of a stream's tail", () => {
  const signature = signTail(TEST_KEY, STREAM, ID);

  it("is of one stream and one tail", () => {
    expect(isTailSigned(KEYS, STREAM, ID, signature)).to.equal(true);
    expect(isTailSigned(KEYS, newAccount(), ID, signature)).to.equal(false);
    expect(isTailSigned(KEYS, STREAM, "12884905985-1", signature)).to.equal(false);
    expect(isTailSigned(new Map(), STREAM, ID, signature)).to.equal(false);
    expect(isTailSigned(KEYS, STREAM, ID, "")).to.equal(false);
  });

  it("is none of an entry, nor the other way round", () => {
    expect(isTailSigned(KEYS, STREAM, ID, signatureOf(signed([])))).to.equal(false);
    expect(isOurs(raw(["mac", signature]))).to.equal(false);
  });
});
