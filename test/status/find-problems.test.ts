import { expect } from "chai";
import { findProblems, type Status } from "../../src/status/collect-status.js";

type Collected = Parameters<typeof findProblems>[0];
type Account = Status["accounts"][number];
type Stream = NonNullable<Account["stream"]>;

const STREAM: Stream = {
  tail: "257698085004644353-0",
  backlog: 0,
  oldest_entry: null,
  pending: 0,
  leader: "host-1",
  consumers: [{ name: "host-2", pending: 0, idle_ms: 700 }],
};

const ACCOUNT: Account = {
  account: "GACCOUNT",
  watermark: "257698085004644353",
  watermark_ledger: 60_000_010,
  settled_through: "2026-11-21T11:13:53.000Z",
  halted_because: null,
  stream: STREAM,
};

const WELL: Collected = {
  postgres: { reachable: true, migrated: true },
  redis: { reachable: true },
  locks: { mode: "optional", servers: 3, answering: 3, quorum: true },
  accounts: [ACCOUNT],
  sessions: { pending: 5, processing: 0 },
  unreadable: 0,
  outbox_unrelayed: 9,
};

const withStream = (stream: Partial<Stream>): Collected => ({
  ...WELL,
  accounts: [{ ...ACCOUNT, stream: { ...STREAM, ...stream } }],
});

/** What is wrong, and what the line must tell a person to do about it. */
const CASES: readonly [what: string, status: Collected, line: RegExp][] = [
  [
    "Postgres away",
    { ...WELL, postgres: { reachable: false, migrated: false } },
    /nothing is settled\. Check DATABASE_URL .* nothing is lost/,
  ],
  ["not migrated", { ...WELL, postgres: { reachable: true, migrated: false } }, /run `paidonce migrate`/],
  ["Redis away", { ...WELL, redis: { reachable: false } }, /Check REDIS_URL .* nothing is lost/],
  [
    "no quorum, optional",
    { ...WELL, locks: { mode: "optional", servers: 3, answering: 1, quorum: false } },
    /1 of 3 .* database decides alone .* Check LOCK_REDIS_URLS/,
  ],
  [
    "no quorum, required",
    { ...WELL, locks: { mode: "required", servers: 3, answering: 1, quorum: false } },
    /1 of 3 .* settlement waits\. Check LOCK_REDIS_URLS/,
  ],
  [
    "halted",
    { ...WELL, accounts: [{ ...ACCOUNT, halted_because: "gone: paidonce accept-hole" }] },
    /GACCOUNT is HALTED: gone: paidonce accept-hole/,
  ],
  ["no leader", withStream({ leader: null }), /GACCOUNT: start `paidonce ingest`/],
  [
    "a backlog that nobody reads",
    withStream({ backlog: 3, consumers: [] }),
    /3 entries of GACCOUNT .* start `paidonce consume`/,
  ],
  [
    "a backlog and only dead consumers",
    withStream({ backlog: 3, consumers: [{ name: "dead", pending: 3, idle_ms: 15_000 }] }),
    /start `paidonce consume`/,
  ],
  ["unreadable credits", { ...WELL, unreadable: 2 }, /2 unreadable .* `paidonce dead-letters list`/],
];

describe("findProblems: what needs a person", () => {
  it("is nothing while all is well, however much is open", () => {
    expect(findProblems(WELL)).to.deep.equal([]);
    expect(findProblems(withStream({ backlog: 10_000, pending: 200 }))).to.deep.equal([]);
    expect(findProblems({ ...WELL, accounts: [] })).to.deep.equal([]);
    expect(
      findProblems({ ...WELL, locks: { mode: "off", servers: 0, answering: 0, quorum: true } }),
    ).to.deep.equal([]);
  });

  for (const [what, status, line] of CASES) {
    it(`tells of ${what} in one line, with what to do`, () => {
      const problems = findProblems(status);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(line);
    });
  }

  it("without Redis says so once, and not once more for each stream that can't be read", () => {
    const status = {
      ...WELL,
      redis: { reachable: false },
      accounts: [ACCOUNT, ACCOUNT].map((a) => ({ ...a, stream: null })),
    };
    expect(findProblems(status)).to.have.length(1);
  });

  it("tells of everything that is wrong, the most urgent first", () => {
    const all = findProblems({
      ...withStream({ leader: null, backlog: 1, consumers: [] }),
      locks: { mode: "required", servers: 3, answering: 0, quorum: false },
      unreadable: 1,
    });
    expect(
      all.map((line) => line.replace(/.*(lock servers|ingest|consume|dead-letters).*/, "$1")),
    ).to.deep.equal(["lock servers", "ingest", "consume", "dead-letters"]);
  });
});
