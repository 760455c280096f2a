import { expect } from "chai";
import { HorizonClient } from "../../src/horizon/client.js";
import { decodePage } from "../../src/horizon/decode-page.js";
import { findHistoryHole } from "../../src/horizon/reach.js";
import {
  BEFORE_ALL,
  ledgerOf,
  type OperationId,
  parseOperationId,
  toOperationId,
} from "../../src/stellar/operation-id.js";
import * as r from "./records.js";
import { json, page, ScriptedServer } from "./scripted-server.js";

const id = (ledger: number, n = 1) => toOperationId(ledger, n, 1);

/** As much of Horizon as loses payments silently: it cuts its history, lags, and shows a ledger piece by piece. */
class ForgetfulHorizon {
  elder = 2;
  latest = 2;
  paid: OperationId[] = [];
  visible = Number.POSITIVE_INFINITY;

  async start(): Promise<ScriptedServer> {
    return await ScriptedServer.start((request, response) => {
      const url = new URL(request.url ?? "", "http://horizon");
      const headers = { "Latest-Ledger": `${this.latest}` };
      if (url.pathname === "/") {
        const ledgers = { history_elder_ledger: this.elder, history_latest_ledger: this.latest };
        json({ ...ledgers, core_latest_ledger: this.latest, network_passphrase: "x" }, headers)(
          response,
          request,
        );
        return;
      }
      const cursor = parseOperationId(url.searchParams.get("cursor"));
      const limit = Number(url.searchParams.get("limit"));
      const seen = this.paid
        .slice(0, this.visible)
        .filter((paid) => paid > cursor && ledgerOf(paid) >= this.elder && ledgerOf(paid) <= this.latest);
      page(
        seen.slice(0, limit).map((paid) => r.payment({}, paid)),
        headers,
      )(response, request);
    });
  }
}

describe("silent losses", () => {
  const { signal } = new AbortController();
  let horizon: ForgetfulHorizon;
  let server: ScriptedServer;
  let client: HorizonClient;

  beforeEach(async () => {
    horizon = new ForgetfulHorizon();
    server = await horizon.start();
    client = new HorizonClient({ url: server.url });
  });

  afterEach(() => server.stop());

  async function idsAfter(cursor: OperationId, limit = 200): Promise<OperationId[]> {
    const { records } = await client.accountPayments(r.US, cursor, signal, { limit });
    return decodePage(records, r.US, cursor).map((item) => item.operationId);
  }

  it("what was paid while away is fetched: every request names where it goes on, none says now", async () => {
    horizon.latest = 10;
    horizon.paid = [id(5), id(6), id(7)];
    expect(await idsAfter(id(5))).to.deep.equal([id(6), id(7)]);
    expect(await idsAfter(BEFORE_ALL)).to.deep.equal([id(5), id(6), id(7)]);
    for (const url of server.requests) expect(url.searchParams.get("cursor")).to.match(/^\d+$/);
  });

  it("history cut behind the cursor is seen, though the page looks fine", async () => {
    Object.assign(horizon, { elder: 100, latest: 200, paid: [id(50), id(150)] });
    const cursor = id(40);
    expect(await idsAfter(cursor)).to.deep.equal([id(150)]);
    const hole = findHistoryHole(cursor, await client.root(signal));
    expect(hole).to.deep.equal({ missingFrom: 40, missingTo: 99 });
  });

  it("history cut between the question and the page is seen, if the root is asked for after it", async () => {
    Object.assign(horizon, { elder: 2, latest: 200, paid: [id(50), id(150)] });
    const cursor = id(40);
    expect(findHistoryHole(cursor, await client.root(signal))).to.equal(null);
    horizon.elder = 100;
    expect(await idsAfter(cursor)).to.deep.equal([id(150)]);
    expect(findHistoryHole(cursor, await client.root(signal))).to.not.equal(null);
  });

  it("a ledger whose records arrive over several pages loses none and doubles none", async () => {
    horizon.latest = 10;
    horizon.paid = Array.from({ length: 9 }, (_, n) => id(10, n + 1));
    const found: OperationId[] = [];
    let cursor: OperationId = id(9);
    for (horizon.visible = 1; horizon.visible <= 9; horizon.visible += 2) {
      found.push(...(await idsAfter(cursor, 4)));
      cursor = found.at(-1) ?? cursor;
    }
    expect(found).to.deep.equal(horizon.paid);
  });
});
