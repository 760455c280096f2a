import { type Acceptance, type Acceptor, ChargeRefusedError } from "../../src/providers/provider.js";
import type { AccountId, TransactionHash } from "../../src/stellar/credit.js";
import type { MemoKey } from "../../src/stellar/memo.js";
import { referenceOfKey } from "../../src/stellar/reference.js";
import { chargeMemo } from "../../src/submission/check-payment.js";

/**
 * A provider that takes every `token` but `bad`, and, with `hash`, what stands for a signed transaction: enough for
 * what the API decides by itself.
 */
export const TEST_ACCEPTOR: Acceptor = {
  name: "test",
  accept: ({ payload, account, merchantId, reference }, now): Acceptance => {
    const { token, hash, memo } = payload;
    if (typeof token !== "string" || token === "bad") {
      throw new ChargeRefusedError("payload.token", "no token of ours: ask for a new one");
    }
    if (typeof hash !== "string") return { payload: { token }, providerId: null, submission: null };
    const memoKey = chargeMemo(merchantId, reference);
    const submission = {
      hash: hash as TransactionHash,
      outerHash: null,
      envelope: `signed-${hash}`,
      account: account as AccountId,
      maxTime: new Date(now.getTime() + 60_000),
      references: [referenceOfKey(typeof memo === "string" ? (memo as MemoKey) : memoKey)],
    };
    return { payload: { transaction: submission.envelope }, providerId: hash, submission, memoKey };
  },
};

export const TEST_ACCEPTORS: ReadonlyMap<string, Acceptor> = new Map([[TEST_ACCEPTOR.name, TEST_ACCEPTOR]]);
