import { expect } from "chai";
import { describeStatus } from "../../src/cli/status.js";
import { ACCOUNT, STREAM, WELL } from "../support/status.js";

describe("paidonce status", () => {
  it("says in a terminal what the page says", () => {
    const text = describeStatus({ healthy: true, problems: [], ...WELL });
    for (const line of [
      /^paidonce is well$/m,
      /^locks +optional, 3 of 3 servers answer; 40 taken, 2 held by others, 0 times no quorum$/m,
      /^horizon +newest ledger 60000012, closed 4 s ago$/m,
      /^credits +42 in the last minute, 40\.4 a minute over the last 5$/m,
      /^paid +33 in the last minute/m,
      /^settled in p50 0\.4 s, p99 1\.9 s \(202 credits\)$/m,
      /^exceptions +4 open: 3 late, 1 no memo; the oldest for 24 h$/m,
      /^refunds +1 refund owed: 12\.5000000 XLM$/m,
      /^outbox +9 events not relayed, oldest 1 s$/m,
      /^webhooks +3 pending, 1 being sent, 0 dead, oldest 12 s$/m,
      /^charges +2 pending, 1 processing, 0 unknown$/m,
      /^recovery +not yet run$/m,
      /^audit +not yet run$/m,
      /^role +consume host-2: alive, last heard 0\.9 s ago$/m,
      /^ {2}ingest +led by host-1, 2 ledgers behind Horizon$/m,
    ])
      expect(text).to.match(line);
  });

  it("puts what needs a person first, with ages where entries wait", () => {
    const waiting = { id: "257698085004644353-0", closed_at: "2026-11-21T11:13:53.000Z", age_seconds: 7_300 };
    const stream = { ...STREAM, backlog: 3, oldest: waiting, pending: 1, oldest_pending: waiting };
    const text = describeStatus({
      healthy: false,
      problems: ["Start it."],
      ...WELL,
      accounts: [{ ...ACCOUNT, stream }],
    });
    expect(text).to.match(/^paidonce NEEDS ATTENTION\n {2}! Start it\.\n/);
    expect(text).to.include("backlog    3 entries, oldest 257698085004644353-0 (2 h)\n");
    expect(text).to.include("pending    1 being settled, oldest 257698085004644353-0 (2 h)\n");
  });

  it("without Postgres and Redis says what is not known, and invents nothing", () => {
    const text = describeStatus({
      healthy: false,
      problems: [],
      ...WELL,
      postgres: { reachable: false, migrated: false },
      redis: { reachable: false },
      horizon: null,
      accounts: [],
      throughput: null,
      sessions: null,
      exceptions: null,
      refunds_owed: null,
      webhooks: null,
      charges: null,
      roles: null,
    });
    expect(text).to.include("postgres   DOWN").and.include("redis      DOWN").and.include("not known");
    expect(text).not.to.match(/null|undefined|NaN/);
  });
});
