import { expect } from "chai";
import type { ConditionName } from "../../src/horizon/condition.js";
import { findProblems } from "../../src/status/find-problems.js";
import type { LastRecovery } from "../../src/status/status.js";
import {
  ACCOUNT,
  CHARGES,
  LIMITS,
  LOCKS,
  openExceptions,
  unpayable,
  WELL,
  withStream,
} from "../support/status.js";

type Collected = Parameters<typeof findProblems>[0];

const waiting = (age_seconds: number) => ({
  id: "257698085004644353-0",
  closed_at: "2026-11-21T11:13:53.000Z",
  age_seconds,
});

const RECOVERED: LastRecovery = {
  finished_at: "2026-11-21T11:00:00.000Z",
  age_seconds: 60,
  repaired: 1,
  waiting: 1,
  failures: {},
  needs_person: 0,
};

/** A minute in a condition, and the old ledger that comes with it: one line names the cause. */
function withCondition(name: ConditionName): typeof WELL {
  return {
    ...WELL,
    horizon: { newest_ledger: 7, newest_closed_at: "x", newest_age_seconds: 172_800 },
    horizon_condition: { name, since: "2026-11-21T11:13:00.000Z", seconds: 60, detail: "why" },
  };
}

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
    { ...WELL, locks: { ...LOCKS, answering: 1, quorum: false } },
    /1 of 3 .* database decides alone .* Check LOCK_REDIS_URLS/,
  ],
  [
    "no quorum, required",
    { ...WELL, locks: { ...LOCKS, mode: "required", answering: 1, quorum: false } },
    /1 of 3 .* settlement waits\. Check LOCK_REDIS_URLS/,
  ],
  [
    "an account that can't receive what it is registered for",
    {
      ...WELL,
      unpayable: unpayable([
        {
          account: "GSHOP",
          asset: "USDC:GISSUER",
          obstacle: "not_authorized",
          since: "2026-11-21T10:00:00.000Z",
        },
      ]),
    },
    /Nobody can pay GSHOP in USDC:GISSUER \(since .*\)\. .*: ask its issuer to authorise .* Nothing is lost/,
  ],
  [
    "a charge of which nobody knows",
    { ...WELL, charges: { ...CHARGES, unknown: 1, oldest_unknown_seconds: 901 } },
    /1 charge, and nobody knows .* 15 min: `paidonce charges list --status unknown`/,
  ],
  [
    "a charge that no worker takes",
    { ...WELL, charges: { ...CHARGES, oldest_due_seconds: 61 } },
    /waited 61 s for a worker: start `paidonce work`/,
  ],
  [
    "partitions that nobody makes",
    { ...WELL, history: { ledgers_ready: 17_000, unplaced: 0, unplaced_oldest_seconds: null } },
    /next 17000 ledgers only: start `paidonce work`/,
  ],
  [
    "credits that nobody moves out of the default partition",
    { ...WELL, history: { ledgers_ready: 1_600_000, unplaced: 3, unplaced_oldest_seconds: 7_201 } },
    /3 credits lie in the default partition, .* `paidonce partitions prepare`/,
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
  [
    "a cursor that stands still while the network goes on",
    { ...WELL, accounts: [{ ...ACCOUNT, lag_ledgers: 61 }] },
    /GACCOUNT is 61 ledgers behind .*allowed: 60.* read the log of `host-1`, then restart/,
  ],
  [
    "an ingest that has heard of no new ledger, although everything answers",
    { ...WELL, horizon: { newest_ledger: 7, newest_closed_at: "x", newest_age_seconds: 172_800 } },
    /closed 2 days ago: read the log of `paidonce ingest`/,
  ],
  [
    "a rate limit that is reached",
    withCondition("limited"),
    /^Horizon's rate limit is reached: .*HORIZON_REQUESTS_PER_HOUR.*nothing is lost \(for 60 s\)\. It says: why/,
  ],
  [
    "a record over every bound",
    withCondition("page_too_large"),
    /^A record on Horizon's page is over every bound/,
  ],
  ["a server that is behind", withCondition("behind"), /^The Horizon server is behind the network/],
  [
    "a server that is away",
    withCondition("away"),
    /^The Horizon server gives no answer that can be read: .*Check HORIZON_URL/,
  ],
  ["a network that pauses", withCondition("paused"), /^The network closes no ledgers: .*Horizon is well/],
  [
    "a server that has refused a request a moment ago",
    {
      ...WELL,
      requests: {
        per_hour: 3_600,
        left: 0,
        used_last_hour: 3_600,
        used: { submission: 0, feed: 3_600, check: 0, audit: 0 },
        refused: true,
      },
    },
    /^Horizon's rate limit is reached/,
  ],
  [
    "a credit that is not settled although consumers are alive",
    withStream({ backlog: 7, oldest: waiting(61) }),
    /GACCOUNT is unsettled 61 s after .* 7 waiting: add `paidonce consume` replicas/,
  ],
  [
    "an outbox that nobody empties",
    { ...WELL, outbox_unrelayed: 12, outbox_oldest_seconds: 3_700 },
    /12 events wait .* 61 min: start `paidonce work`/,
  ],
  [
    "an audit that found something",
    {
      ...WELL,
      last_audit: { finished_at: "2026-11-21T11:00:00.000Z", age_seconds: 840, accounts: 1, differences: 3 },
    },
    /found 3 differences: `paidonce audit` names each/,
  ],
  [
    "findings that wait for a person",
    { ...WELL, last_recovery: { ...RECOVERED, needs_person: 2 } },
    /^2 findings of recovery wait for a person: `paidonce findings --open`/,
  ],
  [
    "a recovery that has stopped running",
    { ...WELL, last_recovery: { ...RECOVERED, age_seconds: 1_000 } },
    /^Recovery has not run for 16 min: start `paidonce work`/,
  ],
  [
    "a recovery that could not look",
    { ...WELL, last_recovery: { ...RECOVERED, failures: { processing: "HTTP 503" } } },
    /^Recovery could not look at processing: HTTP 503/,
  ],
  [
    "exceptions that nobody decides about",
    { ...WELL, exceptions: openExceptions({ late: [70, 259_201], duplicate: [3, 60] }) },
    /^73 exceptions wait for a verdict, the oldest for 3 days: `paidonce exceptions list`/,
  ],
  [
    "value that arrived outside payments",
    { ...WELL, outside_payments: { open: 2, oldest_seconds: 259_201 } },
    /^2 payments arrived outside \/payments .* the oldest found 3 days ago: `paidonce findings --open`/,
  ],
  ["unreadable credits", { ...WELL, unreadable: 2 }, /2 unreadable .* `paidonce dead-letters list`/],
];

describe("findProblems: what needs a person", () => {
  it("is nothing while all is well, however much is open", () => {
    expect(findProblems(WELL)).to.deep.equal([]);
    expect(findProblems(withStream({ backlog: 10_000, pending: 200 }))).to.deep.equal([]);
    expect(findProblems({ ...WELL, accounts: [] })).to.deep.equal([]);
    expect(
      findProblems({ ...WELL, locks: { ...LOCKS, mode: "off", servers: 0, answering: 0, quorum: true } }),
    ).to.deep.equal([]);
  });

  for (const [what, status, line] of CASES) {
    it(`tells of ${what} in one line, with what to do`, () => {
      const problems = findProblems(status);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(line);
    });
  }

  it("judges waiting by the limits that are configured", () => {
    const limits = { ...LIMITS, cursor_lag_ledgers: 1, unsettled_seconds: 10, horizon_silent_seconds: 3 };
    expect(findProblems({ ...withStream({ backlog: 1, oldest: waiting(11) }), limits })).to.have.length(3);
    expect(findProblems(withStream({ backlog: 1, oldest: waiting(60) }))).to.deep.equal([]);
    const charges = { ...CHARGES, unknown: 1, oldest_unknown_seconds: 3_600 };
    expect(findProblems({ ...WELL, charges })).to.have.length(1);
    expect(
      findProblems({ ...WELL, charges, limits: { ...LIMITS, charge_unknown_seconds: 3_600 } }),
    ).to.deep.equal([]);
    const exceptions = openExceptions({ underpaid: [1, 61] });
    expect(
      findProblems({ ...WELL, exceptions, limits: { ...LIMITS, exception_open_seconds: 60 } }),
    ).to.have.length(1);
    expect(findProblems({ ...WELL, exceptions })).to.deep.equal([]);
    const outside = { open: 1, oldest_seconds: 61 };
    expect(findProblems({ ...WELL, outside_payments: outside })).to.deep.equal([]);
  });

  it("leaves what could not be read to its own line, however long it waits", () => {
    const exceptions = openExceptions({ unreadable: [2, 9_000_000], late: [5, 3_600] });
    expect(findProblems({ ...WELL, exceptions, unreadable: 2 })).to.deep.equal([
      "2 unreadable credits wait for a person: `paidonce dead-letters list`.",
    ]);
  });

  it("says of a halted account that it is halted, and not once more that it falls behind", () => {
    const accounts = [{ ...ACCOUNT, halted_because: "ledgers are gone", lag_ledgers: 9_000 }];
    expect(findProblems({ ...WELL, accounts })).to.have.length(1);
  });

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
      locks: { ...LOCKS, mode: "required", answering: 0, quorum: false },
      unreadable: 1,
    });
    expect(
      all.map((line) => line.replace(/.*(lock servers|ingest|consume|dead-letters).*/, "$1")),
    ).to.deep.equal(["lock servers", "ingest", "consume", "dead-letters"]);
  });
});
