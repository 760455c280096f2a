import assert from "node:assert/strict";
import { Asset, Keypair, Memo, Operation } from "@stellar/stellar-sdk";
import type { SessionId, SessionStatus } from "../../src/entities/checkout-session.js";
import { muxedAddress, parseAccountId } from "../../src/stellar/account.js";
import { NATIVE, parseAsset } from "../../src/stellar/asset.js";
import { parseMemoKey } from "../../src/stellar/memo.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import { checkSession } from "../../src/submission/check-payment.js";
import type { EnvelopeFault } from "../../src/submission/read-envelope.js";
import {
  type EnvelopeOptions,
  issuer,
  merchant,
  NOW,
  pay,
  payer,
  read,
  seconds,
  stranger,
  transaction,
} from "./envelopes.js";

const account = parseAccountId(merchant.publicKey());
const ours = Memo.id("7");

const open = {
  id: "0197a000-0000-7000-8000-000000000000" as SessionId,
  account,
  memoKey: parseMemoKey("id:7"),
  asset: NATIVE,
  amount: parseStroops("10"),
  status: "pending" as SessionStatus,
  expiresAt: new Date(seconds(600) * 1000),
  graceSeconds: 0,
};

type Operations = Parameters<typeof transaction>[0];

function check(operations: Operations, options: EnvelopeOptions = { memo: ours }, session = open) {
  return checkSession(read(transaction(operations, options)), session, NOW);
}

function refused(code: EnvelopeFault, operations: Operations, options?: EnvelopeOptions, session = open) {
  assert.throws(() => check(operations, options, session), { name: "EnvelopeError", code });
}

describe("a transaction for a checkout session", () => {
  it("pays its amount or more under its memo, in one operation", () => {
    assert.deepEqual(check([pay("10")]).references, ["id:7"]);
    check([pay("10.5")]);
    check([pay("10"), pay("1", { to: stranger.publicKey() })]);
  });

  it("has five minutes at the most where no signature in it can be verified, and an hour where one is", () => {
    const session = { ...open, expiresAt: new Date(seconds(7200) * 1000) };
    const signedBy = (signer: Keypair, maxTime: number) =>
      check([pay("10")], { memo: ours, signers: [signer], maxTime }, session);
    signedBy(payer, 3600);
    signedBy(Keypair.random(), 300);
    assert.throws(() => signedBy(Keypair.random(), 301), {
      code: "expires_too_late",
      message: /none of its signatures.*at most 5 minutes/,
    });
    // Whoever is only paid can sign for nobody.
    assert.throws(() => signedBy(merchant, 301), { code: "expires_too_late" });
  });

  it("may name it by the muxed id of its address instead, whatever memo stands beside it", () => {
    const session = { ...open, memoKey: parseMemoKey("muxed:7") };
    const to = muxedAddress(account, "7");
    check([pay("10", { to })], {}, session);
    check([pay("10", { to })], { memo: Memo.text("thanks") }, session);
    refused("wrong_memo", [pay("10", { to: muxedAddress(account, "8") })], {}, session);
    check([pay("10")], { memo: ours }, session);
    check([pay("10")], { memo: Memo.text("7") }, session);
    refused("wrong_memo", [pay("10")], { memo: Memo.text("07") }, session);
  });

  it("is refused under no memo, another's, a text that is not exactly the number, or another's muxed id", () => {
    refused("wrong_memo", [pay("10")], {});
    refused("wrong_memo", [pay("10")], { memo: Memo.id("8") });
    refused("wrong_memo", [pay("10")], { memo: Memo.text("7 ") });
    refused("wrong_memo", [pay("10", { to: muxedAddress(account, "8") })]);
    check([pay("10", { to: muxedAddress(account, "7") })]);
  });

  it("is refused when it pays too little, another asset, or nothing to this account", () => {
    refused("wrong_amount", [pay("9.9999999")]);
    refused("wrong_asset", [pay("10", { asset: new Asset("XLM", issuer.publicKey()) })]);
    refused("wrong_asset", [pay("10")], undefined, {
      ...open,
      asset: parseAsset(`USDC:${issuer.publicKey()}`),
    });
    refused("pays_nothing", [pay("10", { to: stranger.publicKey() })]);
  });

  it("is refused when it brings the account anything else", () => {
    refused("several_payments", [pay("10"), pay("1", { to: muxedAddress(account, "9") })]);
    refused("several_payments", [pay("5"), pay("5")]);
    refused("unclear_value", [pay("10"), Operation.accountMerge({ destination: account })]);
  });

  it("is refused when it could only apply after the session can be paid, and taken when it can apply before", () => {
    const endsIn = (after: number) => ({ ...open, expiresAt: new Date(seconds(after) * 1000) });
    refused("session_over", [pay("10")], undefined, endsIn(-1));
    refused("session_over", [pay("10")], undefined, endsIn(9));
    refused("session_over", [pay("10")], { memo: ours, minTime: 30, maxTime: 90 }, endsIn(39));
    check([pay("10")], { memo: ours, minTime: 30, maxTime: 90 }, endsIn(40));
    check([pay("10")], { memo: ours, maxTime: 300 }, endsIn(10));
    check([pay("10")], { memo: ours, maxTime: 300 }, { ...endsIn(-60), graceSeconds: 70 });
  });

  it("is refused for a session that is paid or cancelled", () => {
    refused("session_over", [pay("10")], undefined, { ...open, status: "paid" });
    refused("session_over", [pay("10")], undefined, { ...open, status: "cancelled" });
  });
});
