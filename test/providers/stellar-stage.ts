import { Asset, type Keypair, Operation } from "@stellar/stellar-sdk";
import { v7 as uuidv7 } from "uuid";
import type { ChargeId } from "../../src/entities/charge.js";
import { HorizonClient } from "../../src/horizon/client.js";
import type { ChargeOrder } from "../../src/providers/provider.js";
import { StellarAcceptor, StellarProvider } from "../../src/providers/stellar/provider.js";
import { parseAccountId } from "../../src/stellar/account.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { endOfLedger, type LedgerSequence } from "../../src/stellar/operation-id.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import type { Submission } from "../../src/submission/submissions.js";
import type { FaultInput } from "../../stage/sandbox/faults.js";
import { Stage } from "../sandbox/stage.js";
import { memoFor } from "../support/charges.js";

/**
 * The provider and a network of its own. Ledgers close when it settles down.
 *
 * `busy` and `unreachable` are left out: the provider never refuses, since the payer holds the transaction too.
 */
export async function openStellarStage() {
  const stage = await Stage.open({ submitTimeoutMs: 50 });
  const merchant = stage.account();
  const kept = new Map<ChargeId, Submission>();
  const acceptor = new StellarAcceptor(stage.network.passphrase);
  const provider = new StellarProvider({
    horizon: new HorizonClient({ url: stage.sandbox.url, timeoutMs: 2_000 }),
    passphrase: stage.network.passphrase,
    submissionOf: async (id) => kept.get(id) ?? null,
    awaitMs: 20,
    lookEveryMs: 10,
  });

  /** As the API accepts it. */
  const accept = (payer: Keypair, more: ReturnType<typeof Operation.payment>[] = []): ChargeOrder => {
    const account = parseAccountId(merchant.publicKey());
    const pays = Operation.payment({ destination: account, asset: Asset.native(), amount: "10" });
    const bounds = { minTime: 0, maxTime: Math.floor(Date.now() / 1000) + 3_000 };
    const id = uuidv7() as ChargeId;
    const merchantId = uuidv7();
    const signed = stage.build(payer, [pays, ...more], { bounds, memo: memoFor(merchantId, id) });
    const request = {
      merchantId,
      reference: id,
      amount: parseStroops("10"),
      currency: null,
      asset: NATIVE,
      account,
      metadata: {},
      payload: { transaction: signed.toEnvelope().toXdr("base64") },
    };
    const { payload, providerId, submission } = acceptor.accept(request, new Date());
    if (submission === null) throw new Error("nothing to send");
    const after = endOfLedger(stage.network.latest.sequence as LedgerSequence);
    kept.set(id, { ...submission, after, refusal: null });
    return { ...request, id, payload, providerId, createdAt: new Date() };
  };
  const next = (fault: FaultInput) => () => void stage.sandbox.faults.add({ count: 1, ...fault });
  const disarm = () => stage.sandbox.faults.clear();

  return {
    provider,
    newCharge: () => accept(stage.account("100")),
    /** Its ledger takes it, and its second operation fails. */
    newDeclined: () =>
      accept(stage.account("100"), [
        Operation.payment({
          destination: stage.network.root.publicKey(),
          asset: Asset.native(),
          amount: "1000",
        }),
      ]),
    faults: {
      error_after: next({ kind: "submit", outcome: "applied_504" }),
      error_before: next({ kind: "status", status: 500 }),
      // From the network's door, as Horizon has said it of what had applied.
      in_flight: next({ kind: "submit", outcome: "applied_bad_seq" }),
      reset: next({ kind: "submit", outcome: "lost_504" }),
      broken_answer: next({ kind: "truncate" }),
    },
    disarm,
    settleDown: async () => {
      disarm();
      stage.network.closeLedger();
    },
    moneyTaken: async ({ id }: ChargeOrder) =>
      stage.network.credits
        .of(merchant.publicKey())
        .filter((credit) => credit.transaction_hash === kept.get(id)?.hash).length,
    stop: () => stage[Symbol.asyncDispose](),
  };
}
