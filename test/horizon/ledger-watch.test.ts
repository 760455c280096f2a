import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { ServerCondition } from "../../src/horizon/condition.js";
import { LedgerWatch, LOOKS_ALONE, type SharedLooks } from "../../src/horizon/ledger-watch.js";
import { NetworkView } from "../../src/horizon/network-view.js";
import type { LedgerSequence } from "../../src/stellar/operation-id.js";
import { eventually, silent } from "../support/stream.js";
import { type Answer, json, problem, ScriptedServer } from "./scripted-server.js";

const PASSPHRASE = "a network";

/** A server of which a test says how far it is, and how it answers instead. */
class Ledgers {
  latest = 100;
  core = 100;
  /** By sequence; one operation each where not given. */
  operations = new Map<number, number>();
  instead: Answer | null = null;
  looks = 0;

  readonly answer: Answer = (response, request) => {
    const url = new URL(request.url ?? "", "http://server");
    if (url.pathname === "/ledgers") this.looks++;
    if (this.instead !== null) return this.instead(response, request);
    if (url.pathname !== "/ledgers") {
      return json({
        history_elder_ledger: 1,
        history_latest_ledger: this.latest,
        history_latest_ledger_closed_at: closedAt(this.latest),
        core_latest_ledger: this.core,
        network_passphrase: PASSPHRASE,
      })(response, request);
    }
    const cursor = url.searchParams.get("cursor");
    const after = cursor === null ? this.latest - 1 : Number(BigInt(cursor) >> 32n);
    const count = Math.min(this.latest - after, Number(url.searchParams.get("limit")));
    const records = Array.from({ length: Math.max(0, count) }, (_, n) => {
      const sequence = after + 1 + n;
      const operations = this.operations.get(sequence) ?? 1;
      return { sequence, closed_at: closedAt(sequence), operation_count: operations, paging_token: "1" };
    });
    return json({ _embedded: { records } })(response, request);
  };
}

const closedAt = (ledger: number) =>
  `${new Date(1_790_000_000_000 + ledger * 60_000).toISOString().slice(0, 19)}Z`;

describe("LedgerWatch", () => {
  const { signal } = new AbortController();
  const ledgers = new Ledgers();
  let server: ScriptedServer;
  let running: LedgerWatch[] = [];

  beforeEach(async () => {
    Object.assign(ledgers, new Ledgers(), { answer: ledgers.answer });
    server = await ScriptedServer.start((request, response) => ledgers.answer(response, request));
  });
  afterEach(async () => {
    await Promise.all(running.map((watch) => watch.stop()));
    running = [];
    await server.stop();
  });

  function watchOf(looks: SharedLooks = LOOKS_ALONE): LedgerWatch {
    const client = new HorizonClient({ url: server.url, timeoutMs: 500 });
    const network = new NetworkView(client, PASSPHRASE);
    const condition = new ServerCondition();
    const watch = new LedgerWatch({ client, network, logger: silent, looks, mostMs: 20, condition });
    running.push(watch);
    return watch;
  }

  it("calls with each new ledger, and knows the newest that the server itself has named", async () => {
    const watch = watchOf();
    let calls = 0;
    watch.onLedger(() => calls++);
    watch.start();
    await eventually(async () => watch.newest()?.sequence === 100);
    ledgers.latest = 103;
    await eventually(async () => watch.newest()?.sequence === 103);
    expect(calls).to.be.at.least(2);
    expect(watch.newest()?.closedAt.toISOString().slice(0, 19)).to.equal(closedAt(103).slice(0, 19));
  });

  it("asks nothing while nobody reads a feed", async () => {
    watchOf().start();
    const asking = watchOf();
    asking.onLedger(() => undefined);
    asking.start();
    await eventually(async () => asking.newest() !== null);
    const asked = ledgers.looks;
    await asking.stop();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(ledgers.looks).to.be.at.most(asked + 1);
  });

  it("a ledger without operations needs no page; one whose operations nobody knows does", async () => {
    const watch = watchOf();
    watch.onLedger(() => undefined);
    const head = await watch.first(signal);
    // Of the ledger that it begins with nothing is known.
    expect(watch.isQuietSince(head)).to.equal(false);
    watch.start();
    const at = async (sequence: number, operations: number) => {
      ledgers.operations.set(sequence, operations);
      ledgers.latest = sequence;
      await eventually(async () => watch.newest()?.sequence === sequence);
      return watch.newest() as NonNullable<ReturnType<LedgerWatch["newest"]>>;
    };
    const quiet = await at(101, 0);
    expect(watch.isQuietSince(quiet)).to.equal(true);
    await at(102, 0);
    expect(watch.isQuietSince(quiet)).to.equal(true);
    const busy = await at(103, 3);
    expect(watch.isQuietSince(quiet)).to.equal(false);
    // The page of that ledger itself may have come from a server that did not have it.
    expect(watch.isQuietSince(busy)).to.equal(false);
    const after = await at(104, 0);
    expect(watch.isQuietSince(after)).to.equal(true);
    // So many at once that not each was asked for.
    ledgers.latest = 200;
    await eventually(async () => watch.newest()?.sequence === 200);
    expect(watch.isQuietSince(after)).to.equal(false);
  });

  it("knows a ledger that is ten minutes older by the network's time, once it has watched for so long", async () => {
    const watch = watchOf();
    watch.onLedger(() => undefined);
    watch.start();
    for (let latest = 100; latest <= 112; latest++) {
      ledgers.latest = latest;
      await eventually(async () => watch.newest()?.sequence === latest);
      expect(watch.quiet()?.sequence ?? null).to.equal(latest < 110 ? null : latest - 10);
    }
  });

  it("names what keeps it from new ledgers, each by its name, and is well again by itself", async () => {
    const watch = watchOf();
    watch.onLedger(() => undefined);
    watch.start();
    await eventually(async () => watch.newest() !== null);
    for (const [answer, name] of [
      [problem(502, "bad_gateway"), "away"],
      [problem(503, "stale_history"), "behind"],
      [json("<html>"), "away"],
    ] as const) {
      ledgers.instead = answer;
      await eventually(async () => watch.condition.current.name === name);
      ledgers.instead = null;
      ledgers.latest++;
      await eventually(async () => watch.condition.current.name === "ok");
    }
    ledgers.instead = problem(429, "rate_limit_exceeded", { "Retry-After": "1" });
    await eventually(async () => watch.condition.current.name === "limited");
  });

  it("replicas share their looks, and each proves by a look of its own", async () => {
    const listeners = new Set<(sequence: number) => void>();
    let holder: object | null = null;
    const shared = (): SharedLooks => {
      const me = {};
      return {
        claim: async () => {
          holder ??= me;
          return holder === me;
        },
        release: () => {
          if (holder === me) holder = null;
        },
        announce: (sequence) => {
          for (const listener of listeners) listener(sequence);
        },
        onAnnounced: (listener) => void listeners.add(listener),
        close: () => undefined,
      };
    };
    const watches = Array.from({ length: 4 }, () => watchOf(shared()));
    let calls = 0;
    for (const watch of watches) {
      watch.onLedger(() => calls++);
      await watch.first(signal);
      watch.start();
    }
    const before = calls;
    ledgers.latest = 101;
    await eventually(async () => calls >= before + watches.length);
    // The others were called by what one has found, and believe it not: what they know is what they were told themselves.
    expect(watches.filter((watch) => watch.newest()?.sequence === 101).length).to.be.at.least(1);
  });

  /** Looks whose claims a test refuses, and whose announcements it makes. */
  function othersLook() {
    const listeners: ((sequence: number) => void)[] = [];
    const others = { claims: 0, duringClaim: () => undefined as unknown };
    const looks: SharedLooks = {
      ...LOOKS_ALONE,
      claim: async () => {
        others.claims++;
        others.duringClaim();
        return false;
      },
      onAnnounced: (listener) => void listeners.push(listener),
    };
    const announce = (sequence: number) => {
      for (const listener of listeners) listener(sequence);
    };
    return { others, looks, announce };
  }

  it("a ledger that is announced while this process asks whether to look itself is read at once", async () => {
    const { others, looks, announce } = othersLook();
    const watch = watchOf(looks);
    let calls = 0;
    watch.onLedger(() => calls++);
    await watch.first(signal);
    const before = calls;
    let announced = 100;
    others.duringClaim = () => announce(++announced);
    watch.start();
    await eventually(async () => announced >= 110);
    // Each of them, none with the one after it.
    expect(calls - before).to.be.at.least(announced - 101);
  });

  it("a ledger that was only announced counts as one with operations", async () => {
    const { looks, announce } = othersLook();
    const watch = watchOf(looks);
    watch.onLedger(() => undefined);
    await watch.first(signal);
    ledgers.operations.set(101, 0).set(102, 0);
    ledgers.latest = 101;
    watch.start();
    await eventually(async () => watch.newest()?.sequence === 100);
    const head = { ...(watch.newest() as NonNullable<ReturnType<LedgerWatch["newest"]>>) };
    announce(102);
    expect(watch.isQuietSince({ ...head, sequence: 101 as LedgerSequence })).to.equal(false);
  });

  it("G4: announcements that are forged move nothing that counts", async () => {
    const listeners = new Set<(sequence: number) => void>();
    const hostile: SharedLooks = {
      ...LOOKS_ALONE,
      onAnnounced: (listener) => void listeners.add(listener),
    };
    const watch = watchOf(hostile);
    watch.onLedger(() => undefined);
    watch.start();
    await eventually(async () => watch.newest()?.sequence === 100);
    const forge = setInterval(() => {
      for (const listener of listeners) for (const sequence of [4_000_000_000, 130, 1]) listener(sequence);
    }, 1);
    try {
      ledgers.latest = 101;
      await eventually(async () => watch.newest()?.sequence === (101 as LedgerSequence));
      ledgers.latest = 102;
      await eventually(async () => watch.newest()?.sequence === (102 as LedgerSequence));
    } finally {
      clearInterval(forge);
    }
  });
});
