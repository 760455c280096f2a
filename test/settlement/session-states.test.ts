import { expect } from "chai";
import type { CheckoutSession, SessionStatus } from "../../src/entities/checkout-session.js";
import type { VerdictWord } from "../../src/entities/credit.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import {
  beginProcessing,
  cancelSession,
  expireSessionNow,
  expireSessions,
  rollBackSession,
} from "../../src/settlement/end-session.js";
import { giveVerdict, VerdictRefusedError } from "../../src/settlement/give-verdict.js";
import { settle } from "../../src/settlement/settle.js";
import { parseAsset } from "../../src/stellar/asset.js";
import type { CreditKey, Movement } from "../../src/stellar/credit.js";
import { idMemo } from "../../src/stellar/memo.js";
import { toStroops } from "../../src/stellar/stroops.js";
import {
  anUnreadable,
  aSession,
  creditFor,
  EXPIRES_AT,
  findContradictions,
  newAccount,
  nextOperationId,
  openSessions,
  readBooks,
  watchAccount,
} from "../support/books.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { newHash } from "../support/handed-in-charges.js";

const STATUSES = ["pending", "processing", "paid", "expired", "cancelled"] as const;

describe("the states of a session", () => {
  let database: TestDatabase;
  let owner: Awaited<ReturnType<typeof watchAccount>>;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    owner = await watchAccount(database.dataSource);
  });

  const query = (sql: string, values: unknown[] = []) => database.dataSource.query(sql, values);
  const inTransaction: <T>(work: Parameters<typeof inSerializableTransaction<T>>[1]) => Promise<T> = (work) =>
    inSerializableTransaction(database.dataSource, work);
  const decide = (key: CreditKey, verdict: VerdictWord) =>
    inTransaction((runner) =>
      giveVerdict(runner, { key, verdict, note: "n", decidedBy: "operator:t", merchantId: null }),
    );
  const refusedKind = (error: unknown) => {
    if (error instanceof VerdictRefusedError) return error.kind;
    throw error;
  };

  /** A session in a status, with a short credit that waits for a verdict. */
  async function standing(status: SessionStatus): Promise<{ session: CheckoutSession; short: CreditKey }> {
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const short = creditFor(session, { amount: toStroops(1n) });
    await settle(database.dataSource, [short]);
    if (status === "paid") await settle(database.dataSource, [creditFor(session)]);
    else {
      await query(
        "UPDATE checkout_sessions SET status = $2, processing_since = CASE WHEN $2 = 'processing' THEN now() END WHERE id = $1",
        [session.id, status],
      );
    }
    return { session, short };
  }

  const ACTIONS: Readonly<
    Record<
      string,
      {
        readonly act: (session: CheckoutSession, short: CreditKey) => Promise<unknown>;
        /** Where it leads from; from all others nowhere. */
        readonly leads: Partial<Record<SessionStatus, SessionStatus>>;
      }
    >
  > = {
    "is cancelled by its merchant": {
      act: ({ id, merchantId }) => inTransaction((runner) => cancelSession(runner, merchantId, id)),
      leads: { pending: "cancelled", processing: "cancelled" },
    },
    "is ended by its merchant": {
      act: ({ id, merchantId }) => inTransaction((runner) => expireSessionNow(runner, merchantId, id)),
      leads: { pending: "expired", processing: "expired" },
    },
    "is told to end by another merchant": {
      act: async ({ id }) => {
        const { merchantId } = await watchAccount(database.dataSource);
        await inTransaction((runner) => cancelSession(runner, merchantId, id));
        await inTransaction((runner) => expireSessionNow(runner, merchantId, id));
      },
      leads: {},
    },
    "is past its time on the network's clock": {
      act: async () => {
        const later = new Date(EXPIRES_AT.getTime() + 1_000);
        await query("UPDATE stream_cursors SET settled_through = $2 WHERE account = $1", [
          owner.account,
          later,
        ]);
        await expireSessions(database.dataSource);
      },
      leads: { pending: "expired" },
    },
    "gets a signed transaction": {
      act: ({ id }) =>
        inTransaction((runner) => beginProcessing(runner, id, { hash: newHash(), maxTime: EXPIRES_AT })),
      leads: { pending: "processing" },
    },
    "hears that its transaction did not go through": {
      act: ({ id }) => inTransaction((runner) => rollBackSession(runner, id, null, "tx_failed")),
      leads: { processing: "pending" },
    },
    "gets its credit, in time": {
      act: (session) => settle(database.dataSource, [creditFor(session)]),
      leads: { pending: "paid", processing: "paid", expired: "paid" },
    },
    "has a short credit that a person accepts": {
      act: (_, short) => decide(short, "accept").catch(refusedKind),
      leads: { pending: "paid", expired: "paid", cancelled: "paid" },
    },
  };

  for (const [what, { act, leads }] of Object.entries(ACTIONS)) {
    it(`one that ${what} goes where it may from each of the five, and from the others nowhere`, async () => {
      const went: Record<string, string> = {};
      for (const status of STATUSES) {
        const { session, short } = await standing(status);
        await act(session, short);
        const [row] = await query("SELECT status FROM checkout_sessions WHERE id = $1", [session.id]);
        went[status] = row.status;
      }
      const expected = Object.fromEntries(STATUSES.map((status) => [status, leads[status] ?? status]));
      expect(went).to.deep.equal(expected);
      expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
    });
  }

  /** One exception for each reason. */
  async function raiseAll(): Promise<Map<string, CreditKey>> {
    const sessions = await openSessions(
      database.dataSource,
      ...Array.from({ length: 4 }, () => aSession(owner)),
    );
    const [twice, short, wrong, late] = sessions as [
      CheckoutSession,
      CheckoutSession,
      CheckoutSession,
      CheckoutSession,
    ];
    const usd = parseAsset(`USD:${newAccount()}`);
    await settle(database.dataSource, [creditFor(twice)]);
    const raised: [string, Movement][] = [
      ["duplicate", creditFor(twice)],
      ["underpaid", creditFor(short, { amount: toStroops(1n) })],
      ["wrong_asset", creditFor(wrong, { asset: usd })],
      ["late", creditFor(late, { closedAt: new Date(EXPIRES_AT.getTime() + 60_000) })],
      ["unmatched", creditFor(short, { memo: idMemo("18446744073709551615") })],
      ["no_memo", creditFor(short, { memo: null })],
      ["unreadable", anUnreadable(owner.account, { operationId: nextOperationId() })],
    ];
    await settle(
      database.dataSource,
      raised.map(([, movement]) => movement),
    );
    for (const [reason, { operationId }] of raised) {
      const rows = await query("SELECT reason FROM payment_exceptions WHERE operation_id = $1", [
        `${operationId}`,
      ]);
      expect(rows).to.deep.equal([{ reason }]);
    }
    return new Map(raised);
  }

  const GIVEN: Readonly<Record<VerdictWord, readonly string[]>> = {
    accept: ["late", "underpaid"],
    refund: ["duplicate", "underpaid", "wrong_asset", "late", "unmatched", "no_memo"],
    dismiss: ["duplicate", "underpaid", "wrong_asset", "late", "unmatched", "no_memo", "unreadable"],
  };
  const WORDS = Object.keys(GIVEN) as VerdictWord[];

  for (const first of WORDS) {
    it(`an exception's verdict ${first} can be given for these reasons, and for no other; it stays`, async () => {
      const given: string[] = [];
      for (const [reason, key] of await raiseAll()) {
        const said = await decide(key, first).then(() => "given", refusedKind);
        if (said === "given") given.push(reason);
        else expect(said, reason).to.equal("refused");
        const stands = async () =>
          query("SELECT verdict FROM exception_verdicts WHERE operation_id = $1", [`${key.operationId}`]);
        const verdicts = said === "given" ? [{ verdict: first }] : [];
        expect(await stands(), reason).to.deep.equal(verdicts);
        if (said !== "given") continue;
        for (const second of WORDS) {
          const again = await decide(key, second).then(() => "given", refusedKind);
          expect(again, `${first}, then ${second}`).to.equal(second === first ? "given" : "decided");
          expect(await stands()).to.deep.equal(verdicts);
        }
      }
      expect(given).to.have.members([...GIVEN[first]]);
      expect(findContradictions(await readBooks(database.dataSource))).to.deep.equal([]);
    });
  }
});
