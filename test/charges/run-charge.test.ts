import { expect } from "chai";
import { AT_ONCE, findDueCharges, sweepCharges } from "../../src/charges/due-charges.js";
import { type ChargeAttempted, runCharge } from "../../src/charges/run-charge.js";
import { atCheckpoints, type Checkpoint } from "../../src/checkpoints.js";
import type { ChargeId } from "../../src/entities/charge.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import type { Provider } from "../../src/providers/provider.js";
import { endCharge } from "../../src/settlement/end-charge.js";
import { settle } from "../../src/settlement/settle.js";
import { aSession, creditFor, watchAccount } from "../support/books.js";
import {
  abandonCharges,
  bankCharge,
  chargeEvents,
  chargeOutcomes,
  readCharge,
  skipChargeWaiting,
} from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { eventually } from "../support/stream.js";
import { Bank } from "./bank.js";
import { bankProvider, intentProvider } from "./bank-provider.js";

/** The lease of a test is stale as soon as it is made to look a day old. */
const STALE_SECONDS = 3_600;

describe("an attempt at a charge", () => {
  let database: TestDatabase;
  let bank: Bank;
  let merchantId: string;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    bank = await new Bank().start();
    ({ merchantId } = await watchAccount(database.dataSource));
  });
  afterEach(async () => {
    atCheckpoints(null);
    bank.release();
    await bank.stop();
    await database.dataSource.query("DELETE FROM charge_attempts");
    await database.dataSource.query("DELETE FROM outbox_events");
    await database.dataSource.query("DELETE FROM charges");
  });

  const run = (id: ChargeId, provider: Provider = bankProvider(bank.url), timeoutMs = 5_000) =>
    runCharge({ dataSource: database.dataSource, provider, timeoutMs }, id);
  const again = async (id: ChargeId, provider?: Provider): Promise<ChargeAttempted | null> => {
    await skipChargeWaiting(database.dataSource);
    return run(id, provider);
  };
  const charge = () => bankCharge(database.dataSource, merchantId);
  const read = (id: ChargeId) => readCharge(database.dataSource, id);
  const events = (id: ChargeId) => chargeEvents(database.dataSource, id);
  const outcomes = (id: ChargeId) => chargeOutcomes(database.dataSource, id);
  const sweep = async () => {
    await abandonCharges(database.dataSource);
    return sweepCharges(database.dataSource, STALE_SECONDS);
  };

  it("success: charged once under the charge's id, told once", async () => {
    const id = await charge();
    expect((await run(id))?.recorded).to.deep.equal({ kind: "recorded" });
    expect(await read(id)).to.include({
      status: "succeeded",
      providerId: id,
      attempts: 1,
      sends: 1,
      asks: 0,
    });
    expect(await events(id)).to.deep.equal(["charge.succeeded"]);
    expect(bank.calls).to.deep.equal([{ kind: "charge", key: id }]);
    expect(await run(id)).to.equal(null);
  });

  it("ten workers at once: one has it, the others nothing", async () => {
    const id = await charge();
    const results = await Promise.all(Array.from({ length: 10 }, () => run(id)));
    expect(results.filter((one) => one !== null)).to.have.length(1);
    expect(bank.calls).to.have.length(1);
  });

  it("a decline is final", async () => {
    const id = await charge();
    bank.faults.push("decline");
    await run(id);
    expect(await read(id)).to.include({ status: "failed", failureCode: "declined", leasedSince: null });
    expect(await events(id)).to.deep.equal(["charge.failed"]);
    expect(await again(id)).to.equal(null);
  });

  it("a refusal is sent again later, and after five the charge has failed", async () => {
    const id = await charge();
    bank.faults.push("refuse", "refuse", "refuse", "refuse", "refuse");
    await run(id);
    expect(await read(id)).to.include({ status: "processing", leasedSince: null });
    expect(await run(id), "not before its time").to.equal(null);
    for (let i = 0; i < 4; i++) await again(id);
    expect(await read(id)).to.include({ status: "failed", failureCode: "provider_unavailable", sends: 5 });
    expect(await outcomes(id)).to.deep.equal(Array.from({ length: 5 }, () => "charge refused"));
    expect(await events(id)).to.deep.equal(["charge.failed"]);
    expect(bank.taken(id)).to.equal(0);
  });

  it("an attempt whose worker died after others had ended the charge is called lost", async () => {
    const id = await charge();
    const dies: Provider = {
      ...bankProvider(bank.url),
      charge: async () => {
        await inSerializableTransaction(database.dataSource, (runner) =>
          endCharge(runner, id, { kind: "succeeded", providerId: "hash" }, { from: "test" }),
        );
        atCheckpoints((reached) => {
          if (reached === "charge.before-record") throw new Error("killed");
        });
        return { kind: "succeeded", providerId: "hash" };
      },
    };
    await run(id, dies).catch(() => undefined);
    atCheckpoints(null);
    expect(await outcomes(id)).to.deep.equal(["charge …", "told succeeded"]);
    await database.dataSource.query("UPDATE charge_attempts SET started_at = now() - interval '1 day'");
    await sweep();
    expect(await outcomes(id)).to.deep.equal(["charge lost", "told succeeded"]);
  });

  it("Postgres away for a moment: what was heard is written all the same, and nothing is unknown", async () => {
    const id = await charge();
    const lost = Object.assign(new Error("the connection was lost"), { code: "ECONNRESET" });
    let losses = 2;
    const provider: Provider = {
      ...bankProvider(bank.url),
      charge: async (order, signal) => {
        atCheckpoints((reached) => {
          if (reached === "transaction.before-commit" && losses-- > 0) throw lost;
        });
        return bankProvider(bank.url).charge(order, signal);
      },
    };
    expect((await run(id, provider))?.recorded).to.deep.equal({ kind: "recorded" });
    expect(losses).to.equal(-1);
    expect(await outcomes(id)).to.deep.equal(["charge succeeded"]);
    expect(await events(id)).to.deep.equal(["charge.succeeded"]);
  });

  for (const fault of ["drop-after", "error-after", "silent"] as const) {
    it(`${fault}: the outcome is unknown, then found, and nothing is sent twice`, async () => {
      const id = await charge();
      bank.faults.push(fault);
      await run(id, bankProvider(bank.url), 300);
      expect(await read(id)).to.include({ status: "unknown", leasedSince: null, sends: 1 });
      expect(await events(id)).to.deep.equal(["charge.unknown"]);
      await again(id);
      expect(await read(id)).to.include({ status: "succeeded", sends: 1, asks: 1 });
      expect(await events(id)).to.deep.equal(["charge.unknown", "charge.succeeded"]);
      expect(await outcomes(id)).to.deep.equal(["charge unknown", "ask succeeded"]);
      expect(bank.callsOf("charge")).to.equal(1);
    });
  }

  it("the provider knows of nothing: sent again under the same key, however often, told unknown once", async () => {
    const id = await charge();
    bank.faults.push(...Array.from({ length: 7 }, () => "drop-before" as const));
    expect(await run(id)).to.include({ isFault: true });
    // It answers: what it can't make of this charge must not hold back all others.
    for (let i = 0; i < 6; i++) expect(await again(id)).to.include({ isFault: false });
    expect(await read(id)).to.include({ status: "unknown", sends: 7, asks: 6 });
    await again(id);
    expect(await read(id)).to.include({ status: "succeeded", sends: 8, asks: 7 });
    expect(await events(id)).to.deep.equal(["charge.unknown", "charge.succeeded"]);
    expect(new Set(bank.calls.map(({ key }) => key))).to.deep.equal(new Set([id]));
    expect(bank.taken(id)).to.equal(1);
  });

  it("a provider that can't say is asked, and nothing is sent meanwhile", async () => {
    const id = await charge();
    bank.faults.push("drop-after");
    bank.askFaults.push("error-before", "error-before");
    await run(id);
    await again(id);
    await again(id);
    expect(await read(id)).to.include({ status: "unknown", asks: 2 });
    expect(bank.callsOf("charge")).to.equal(1);
    await again(id);
    expect(await read(id)).to.include({ status: "succeeded" });
  });

  it("a provider that throws, or says what can't be kept, counts as unknown", async () => {
    const told = [
      () => Promise.reject(new Error("no\u0000good")),
      () => {
        throw new Error("at once");
      },
      async () => ({ kind: "succeeded", providerId: "" }) as const,
      async () => ({ kind: "succeeded", providerId: "x".repeat(256) }) as const,
    ];
    for (const says of told) {
      const id = await charge();
      await run(id, { ...bankProvider(bank.url), charge: says });
      expect(await read(id)).to.include({ status: "unknown", providerId: null });
    }
  });

  it("a worker dies at any point: the lease is taken back, the provider asked, the charge succeeds", async () => {
    const points: Checkpoint[] = [
      "charge.after-claim",
      "charge.before-call",
      "charge.after-call",
      "charge.before-record",
    ];
    for (const point of points) {
      const id = await charge();
      atCheckpoints((reached) => {
        if (reached === point) throw new Error("dead");
      });
      expect(await run(id).catch((error: Error) => error.message)).to.equal("dead");
      atCheckpoints(null);
      expect(await sweepCharges(database.dataSource, STALE_SECONDS), "it may still be alive").to.equal(0);
      expect(await run(id), "nobody claims what is leased").to.equal(null);
      expect(await sweep()).to.equal(1);
      await run(id);
      expect(await read(id), point).to.include({ status: "succeeded", attempts: 2 });
      expect((await outcomes(id))[0]).to.equal("charge lost");
      expect(await events(id)).to.deep.equal(["charge.unknown", "charge.succeeded"]);
      expect(bank.taken(id)).to.equal(1);
    }
  });

  it("a paused worker's late outcome is fenced off", async () => {
    const id = await charge();
    bank.faults.push("held");
    const late = run(id);
    await eventually(async () => bank.calls.length === 1);
    await sweep();
    // Another one declines meanwhile: what the first hears later is not written.
    bank.faults.push("decline");
    await run(id);
    expect(await read(id)).to.include({ status: "failed", failureCode: "declined" });
    bank.release();
    // Its call came second at the bank, and hears the decline too: no contradiction.
    expect((await late)?.recorded).to.deep.equal({ kind: "recorded" });
    expect(await read(id)).to.include({ status: "failed", attempts: 2 });
    expect(await outcomes(id)).to.deep.equal(["charge lost", "ask declined"]);
    expect(bank.taken(id)).to.equal(0);
  });

  it("a late outcome writes nothing while another worker has the charge", async () => {
    const id = await charge();
    bank.faults.push("held");
    const late = run(id);
    await eventually(async () => bank.calls.length === 1);
    await sweep();
    bank.askFaults.push("held");
    const next = run(id);
    await eventually(async () => bank.callsOf("find") === 1);
    bank.release(id);
    expect((await late)?.recorded).to.deep.equal({ kind: "not_ours" });
    expect(await read(id)).to.include({ status: "unknown" });
    bank.release();
    await next;
    expect(await read(id)).to.include({ status: "succeeded", attempts: 2 });
    expect(bank.taken(id)).to.equal(1);
  });

  it("a provider that contradicts what is on record changes nothing, and it is told", async () => {
    const id = await charge();
    const lies: Provider = {
      ...bankProvider(bank.url),
      charge: async () => {
        // Somebody closes it, by another word of the provider, while this call is on its way.
        await database.dataSource.query(
          "UPDATE charges SET status = 'failed', failure_code = 'declined', failure_detail = '', leased_since = NULL, ended_at = now() WHERE id = $1",
          [id],
        );
        return { kind: "succeeded", providerId: "p" };
      },
    };
    expect((await run(id, lies))?.recorded).to.deep.equal({ kind: "contradiction", status: "failed" });
    expect(await read(id)).to.include({ status: "failed" });
  });

  it("one that failed has the provider's sentence, and its attempt the facts", async () => {
    const id = await charge();
    const declined = { kind: "declined", code: "transaction_expired", detail: "proof 7" } as const;
    await run(id, {
      ...bankProvider(bank.url),
      charge: async () => ({ ...declined, sentence: "in no ledger" }),
    });
    expect(await read(id)).to.include({ status: "failed", failureDetail: "in no ledger" });
    const [last] = await database.dataSource.query(
      "SELECT detail FROM charge_attempts WHERE charge_id = $1",
      [id],
    );
    expect(last.detail).to.equal("proof 7");
  });

  it("two charges that the provider calls the same: the second is not called charged", async () => {
    const says: Provider = {
      ...bankProvider(bank.url),
      charge: async () => ({ kind: "succeeded", providerId: "the-same" }),
    };
    const [first, second] = [await charge(), await charge()];
    await run(first, says);
    expect((await run(second, says))?.recorded).to.deep.equal({ kind: "contradiction", status: "unknown" });
    expect(await read(second)).to.include({ status: "unknown", leasedSince: null });
  });

  for (const seen of ["before", "after"] as const) {
    it(`what came over the network is settled once, whether ingest sees it ${seen} the worker`, async () => {
      const { dataSource } = database;
      const movement = creditFor(aSession(await watchAccount(dataSource)));
      const provider: Provider = {
        ...bankProvider(bank.url),
        charge: async () => {
          if (seen === "before") await settle(dataSource, [movement]);
          return { kind: "succeeded", providerId: movement.transactionHash, movements: [movement] };
        },
      };
      const id = await charge();
      expect((await run(id, provider))?.recorded).to.deep.equal({ kind: "recorded" });
      expect(await read(id)).to.include({ status: "succeeded", providerId: movement.transactionHash });
      expect((await settle(dataSource, [movement])).map(({ kind }) => kind)).to.deep.equal(["redelivered"]);
    });
  }

  it("settlement ends the charge while the worker is on its way: the worker finds it done", async () => {
    const id = await charge();
    const provider: Provider = {
      ...bankProvider(bank.url),
      charge: async () => {
        await inSerializableTransaction(database.dataSource, (runner) =>
          endCharge(runner, id, { kind: "succeeded", providerId: "hash" }, { from: "test" }),
        );
        return { kind: "succeeded", providerId: "hash" };
      },
    };
    expect((await run(id, provider))?.recorded).to.deep.equal({ kind: "recorded" });
    // Each says what it heard; the end is one.
    expect(await outcomes(id)).to.deep.equal(["charge succeeded", "told succeeded"]);
    expect(await events(id)).to.deep.equal(["charge.succeeded"]);
  });

  describe("with a provider that names it first", () => {
    it("the name is committed before it is charged", async () => {
      const id = await charge();
      let nameWhenCharged: string | null = null;
      const provider = intentProvider(bank.url);
      await run(id, {
        ...provider,
        charge: async (order, signal) => {
          nameWhenCharged = (await read(id)).providerId;
          return provider.charge(order, signal);
        },
      });
      const { status, providerId } = await read(id);
      expect(status).to.equal("succeeded");
      expect(nameWhenCharged).to.equal(providerId);
    });

    it("two workers prepare two names: only the committed one is charged", async () => {
      const id = await charge();
      bank.faults.push("held");
      const late = run(id, intentProvider(bank.url));
      await eventually(async () => bank.callsOf("intent") === 1);
      await sweep();
      await run(id, intentProvider(bank.url));
      bank.release();
      expect((await late)?.recorded).to.deep.equal({ kind: "not_ours" });
      expect(bank.callsOf("intent")).to.equal(2);
      expect(bank.callsOf("charge")).to.equal(1);
      expect(bank.taken(id)).to.equal(1);
    });

    it("a refusal there is safe to repeat, a decline final, silence unknown", async () => {
      const [refused, declined, silent] = [await charge(), await charge(), await charge()];
      bank.faults.push("refuse", "decline", "error-after");
      for (const id of [refused, declined, silent]) await run(id, intentProvider(bank.url));
      expect(await read(refused)).to.include({ status: "processing", providerId: null });
      expect(await read(declined)).to.include({ status: "failed" });
      expect(await read(silent)).to.include({ status: "unknown", providerId: null });
      await again(silent, intentProvider(bank.url));
      expect(await read(silent)).to.include({ status: "succeeded" });
    });
  });

  describe("what is due", () => {
    const due = (providers = ["bank"]) => findDueCharges(database.dataSource, providers);

    it("a few of each merchant, in turns, whatever the backlog; less what is leased", async () => {
      for (let i = 0; i < AT_ONCE + 9; i++) await charge();
      const other = await watchAccount(database.dataSource);
      const theirs = await bankCharge(database.dataSource, other.merchantId);
      const found = await due();
      expect(found).to.have.length(AT_ONCE + 1);
      expect(found.slice(0, 2).map(({ id }) => id)).to.include(theirs);
      await database.dataSource.query(
        "UPDATE charges SET status = 'processing', leased_since = now() WHERE id = $1",
        [found.find((one) => one.merchantId === merchantId)?.id],
      );
      expect((await due()).filter((one) => one.merchantId === merchantId)).to.have.length(AT_ONCE - 1);
      const alone = await findDueCharges(database.dataSource, ["bank"], other.merchantId);
      expect(alone.map(({ id }) => id)).to.deep.equal([theirs]);
    });

    it("of the given providers alone, and only what is open and due", async () => {
      await bankCharge(database.dataSource, merchantId, { provider: "other" });
      await bankCharge(database.dataSource, merchantId, { nextAttemptAt: new Date(Date.now() + 60_000) });
      const ended = await charge();
      await run(ended);
      const id = await charge();
      expect((await due()).map((one) => one.id)).to.deep.equal([id]);
      expect(await due([])).to.deep.equal([]);
    });

    it("a charge of another provider is not claimed", async () => {
      const id = await bankCharge(database.dataSource, merchantId, { provider: "other" });
      expect(await run(id)).to.equal(null);
      expect(await read(id)).to.include({ status: "pending", attempts: 0 });
    });
  });
});
