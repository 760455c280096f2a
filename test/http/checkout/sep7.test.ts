import { Keypair } from "@stellar/stellar-sdk";
import { expect } from "chai";
import fc from "fast-check";
import {
  payRequest,
  payUri,
  type Sep7Options,
  signedPayload,
  signUri,
} from "../../../src/http/checkout/sep7.js";
import { hashMemo, idMemo, type MemoKey, muxedId, textMemo } from "../../../src/stellar/memo.js";
import { PUBLIC_NETWORK } from "../../../src/stellar/network.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import { aSession, newAccount } from "../../support/books.js";
import { USDC } from "../../support/checkouts.js";

// The key, the request and the signature that SEP-7 gives as its example.
const SECRET = "SBPOVRVKTTV7W3IOX2FJPSMPCJ5L2WU2YKTP3HCLYPXNI5MDIGREVNYC";
const EXAMPLE =
  "web+stellar:pay?destination=GCALNQQBXAPZ2WIRSDDBMSTAKCUH5SG6U76YBFLQLIXJTF7FE5AX7AOO&amount=120.1234567&memo=skdjfasf&msg=pay%20me%20with%20lumens&origin_domain=someDomain.com";
const SIGNATURE =
  "JTlGMGzxUv90P2SWxUY9xo%2BLlbXaDloend6gkpyylY8X4bUNf6%2F9mFTMJs7JKqSDPRtejlK1kQvrsJfRZSJeAQ%3D%3D";

const CALLBACK = "https://pay.example.com/pay/01a1fdce-ead4-7174-a360-129473acad85/transaction";

const account = newAccount();
const uriOf = (memoKey: MemoKey, options: Partial<Sep7Options> = {}, overrides = {}) =>
  payRequest(aSession({ account, merchantId: "" }, { memoKey, ...overrides }), {
    networkPassphrase: PUBLIC_NETWORK,
    message: "order 7",
    callback: CALLBACK,
    signer: null,
    ...options,
  });
const fieldsOf = (uri: string) => Object.fromEntries(new URL(uri).searchParams);

describe("SEP-7 requests", () => {
  it("are the SEP's own examples, letter by letter", () => {
    const destination = "GCALNQQBXAPZ2WIRSDDBMSTAKCUH5SG6U76YBFLQLIXJTF7FE5AX7AOO";
    expect(
      payUri({ destination, amount: "120.1234567", memo: "skdjfasf", msg: "pay me with lumens" }),
    ).to.equal(EXAMPLE.replace("&origin_domain=someDomain.com", ""));
    expect(
      payUri({
        destination,
        amount: "120.123",
        asset_code: "USD",
        asset_issuer: "GCRCUE2C5TBNIPYHMEP7NK5RWTT2WBSZ75CMARH7GDOHDDCQH3XANFOB",
        memo: "hasysda987fs",
        callback: "url:https://someSigningService.com/hasysda987fs?asset=USD",
      }),
    ).to.equal(
      `web+stellar:pay?destination=${destination}&amount=120.123&asset_code=USD&asset_issuer=GCRCUE2C5TBNIPYHMEP7NK5RWTT2WBSZ75CMARH7GDOHDDCQH3XANFOB&memo=hasysda987fs&callback=url%3Ahttps%3A%2F%2FsomeSigningService.com%2Fhasysda987fs%3Fasset%3DUSD`,
    );
  });

  it("are signed as the SEP's own example is", () => {
    expect(signUri(EXAMPLE, SECRET)).to.equal(`${EXAMPLE}&signature=${SIGNATURE}`);
  });

  it("verify as a wallet verifies: the signature cut off at the end, over the SEP's payload", () => {
    const uri = uriOf(idMemo("7"), { signer: { secret: SECRET, originDomain: "shop.example.com" } });
    const [, request = "", signature = ""] = /^(.*)&signature=([^&]*)$/.exec(uri) ?? [];
    const key = Keypair.fromPublicKey(Keypair.fromSecret(SECRET).publicKey());
    const signed = Buffer.from(decodeURIComponent(signature), "base64");
    const payload = Buffer.from(`${"\0".repeat(35)}\u0004stellar.sep.7 - URI Scheme${request}`);
    expect(fieldsOf(uri).origin_domain).to.equal("shop.example.com");
    expect(signedPayload(request).equals(payload)).to.equal(true);
    expect(key.verify(payload, signed)).to.equal(true);
    expect(key.verify(Buffer.from(payload.toString().replace("amount=10", "amount=11")), signed)).to.equal(
      false,
    );
  });

  it("name where a signed transaction can be handed in, under the signature, which stays last", () => {
    const uri = uriOf(idMemo("7"), { signer: { secret: SECRET, originDomain: "shop.example.com" } });
    expect(uri).to.include(
      "&callback=url%3Ahttps%3A%2F%2Fpay.example.com%2Fpay%2F01a1fdce-ead4-7174-a360-129473acad85%2Ftransaction&",
    );
    expect(Array.from(new URL(uri).searchParams.keys()).at(-1)).to.equal("signature");
    const [, request = "", signature = ""] = /^(.*)&signature=([^&]*)$/.exec(uri) ?? [];
    const key = Keypair.fromPublicKey(Keypair.fromSecret(SECRET).publicKey());
    const verifies = (text: string) =>
      key.verify(signedPayload(text), Buffer.from(decodeURIComponent(signature), "base64"));
    expect(verifies(request)).to.equal(true);
    expect(verifies(request.replace("pay.example.com", "pay.examp1e.com"))).to.equal(false);
  });

  it("ask for lumens without naming an asset, and for a token with its issuer", () => {
    expect(fieldsOf(uriOf(idMemo("7")))).to.deep.equal({
      destination: account,
      amount: "10",
      memo: "7",
      memo_type: "MEMO_ID",
      callback: `url:${CALLBACK}`,
      msg: "order 7",
    });
    const [code, issuer] = USDC.split(":");
    const amount = parseStroops("0.0000001");
    expect(fieldsOf(uriOf(idMemo("7"), {}, { asset: USDC, amount }))).to.include({
      amount: "0.0000001",
      asset_code: code,
      asset_issuer: issuer,
    });
  });

  it("name the network unless it is the public one", () => {
    expect(fieldsOf(uriOf(idMemo("7"), { networkPassphrase: "Test ; 2026" })).network_passphrase).to.equal(
      "Test ; 2026",
    );
  });

  it("carry each kind of memo, and a muxed id inside the destination", () => {
    const bytes = Buffer.alloc(32, 250);
    const memoOf = (key: MemoKey) => {
      const { memo, memo_type } = fieldsOf(uriOf(key));
      return [memo, memo_type];
    };
    expect(memoOf(textMemo(Buffer.from("Tee & Kaffee = 1 €")))).to.deep.equal([
      "Tee & Kaffee = 1 €",
      "MEMO_TEXT",
    ]);
    expect(memoOf(hashMemo("hash", bytes))).to.deep.equal([bytes.toString("base64"), "MEMO_HASH"]);
    expect(memoOf(hashMemo("return", bytes))).to.deep.equal([bytes.toString("base64"), "MEMO_RETURN"]);
    expect(memoOf(muxedId("7"))).to.deep.equal([undefined, undefined]);
    expect(fieldsOf(uriOf(muxedId("7"))).destination).to.match(/^M[A-Z2-7]{68}$/);
  });

  it("keep a text memo's bytes where they are no UTF-8", () => {
    expect(uriOf(textMemo(Buffer.from("Tee"))), "and are text where they are").to.include("&memo=Tee&");
    expect(uriOf(textMemo(Uint8Array.of(0x61, 0xff, 0x0a)))).to.include("&memo=%61%FF%0A&");
  });

  it("hold whatever a merchant is called, cut to 300 characters", () => {
    expect(fieldsOf(uriOf(idMemo("7"), { message: "x".repeat(301) })).msg).to.equal("x".repeat(300));
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), (message) => {
        const { msg } = fieldsOf(uriOf(idMemo("7"), { message }));
        expect(msg).to.equal(Array.from(message).slice(0, 300).join(""));
      }),
    );
  });
});
