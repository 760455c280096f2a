import { Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { readFixture } from "../support/fixtures.js";
import { asRecorded, prepare } from "./replay.js";
import { type Json, Stage } from "./stage.js";

/** Every error that a real server was asked for: what it answered, and what the sandbox answers to the same. */
describe("sandbox: errors as they were recorded", () => {
  const recorded = (name: string): Json => readFixture(`network/horizon/${name}.json`);
  const { network_passphrase: passphrase, accounts, cases } = readFixture("network/cases.json");

  it("reading: status, headers and body, field by field", async () => {
    await using stage = await Stage.open({ passphrase });
    const shop = Operation.createAccount({ destination: accounts.shop, startingBalance: "10" });
    stage.apply(stage.build(stage.network.root, [shop]));
    for (const name of ["bad-cursor", "limit-too-large", "unknown-account", "unknown-transaction"]) {
      const { path, status, headers, body } = recorded(name);
      const ours = await stage.json(path);
      expect({ status: ours.status, body: ours.body }, name).to.deep.equal({ status, body });
      compareHeaders(name, ours.headers, headers);
    }
  });

  it("reading a page with nothing in it: links and headers", async () => {
    await using stage = await Stage.open({ passphrase, firstLedger: 1422 });
    const shop = Operation.createAccount({ destination: accounts.shop, startingBalance: "10" });
    stage.apply(stage.build(stage.network.root, [shop]));
    expect(stage.network.latest.sequence, "as in the recording: `now` becomes a number").to.equal(1423);
    for (const name of ["now-empty", "claimable-balances"]) {
      const { path, status, headers, body } = recorded(name);
      const ours = await stage.json(path);
      expect({ status: ours.status, body: asRecorded(stage, ours.body) }, name).to.deep.equal({
        status,
        body,
      });
      compareHeaders(name, ours.headers, headers);
    }
  });

  it("over the limit: every header, and the body to the byte", async () => {
    await using stage = await Stage.open({ passphrase, requestsPerHour: 3600 });
    const { path, headers, body } = recorded("too-many-requests");
    let refused = await stage.json(path);
    for (let i = 0; i < 1000 && refused.status !== 429; i++) refused = await stage.json(path);
    expect(refused.body).to.deep.equal(body);
    compareHeaders("too-many-requests", refused.headers, headers);
  });

  it("submitting what is no envelope, by both routes", async () => {
    await using stage = await Stage.open({ passphrase });
    for (const name of ["submit-malformed", "submit-async-malformed"]) {
      const { path, status, body } = recorded(name);
      const form = new URLSearchParams({ tx: body.extras.envelope_xdr });
      const ours = await stage.json(path, { method: "POST", body: form });
      expect({ status: ours.status, body: ours.body }, name).to.deep.equal({ status, body });
    }
  });

  it("submitting what was applied: its record by the one route, tx_bad_seq by the other", async () => {
    const again = recorded("submit-again");
    const createdAt = Date.parse(again.body.created_at);
    await using stage = await Stage.open({ passphrase, firstLedger: 1190, clock: () => createdAt });
    const tx = again.body.envelope_xdr;
    prepare(stage, tx);
    expect(stage.network.submit(tx).kind).to.equal("queued");
    stage.network.closeLedger();
    const post = (path: string) => stage.json(path, { method: "POST", body: new URLSearchParams({ tx }) });
    const ours = await post(again.path);
    expect(ours.status).to.equal(again.status);
    // The record itself: replay.test.ts.
    expect(Object.keys(ours.body)).to.deep.equal(Object.keys(again.body));
    const refused = recorded("submit-async-again");
    const second = await post(refused.path);
    expect({ status: second.status, body: second.body }).to.deep.equal({
      status: refused.status,
      body: refused.body,
    });
  });

  it("a contract call with a memo, or of a muxed source, is refused by both routes: tx_soroban_invalid", async () => {
    const { envelope: tx, codes } = cases.find(
      (one: Json) => one.name === "contract transfer with a memo is refused",
    );
    await using stage = await Stage.open({ passphrase });
    prepare(stage, tx);
    const post = (path: string) => stage.json(path, { method: "POST", body: new URLSearchParams({ tx }) });
    const refused = await post("/transactions");
    expect(refused.status).to.equal(400);
    expect(refused.body.extras.result_codes).to.deep.equal(codes);
    const later = await post("/transactions_async");
    expect([later.status, later.body.tx_status]).to.deep.equal([400, "ERROR"]);
    expect(later.body.error_result_xdr).to.equal(refused.body.extras.result_xdr);
  });
});

/** Every recorded header, by value, but those that say a time or a ledger: of these, that they are there. */
function compareHeaders(name: string, ours: Headers, recorded: Readonly<Record<string, string>>): void {
  for (const [header, value] of Object.entries(recorded)) {
    const own = ours.get(header);
    if (/^(date|latest-ledger)$/i.test(header)) expect(own, `${name}: ${header}`).to.be.a("string");
    else expect(own, `${name}: ${header}`).to.equal(value);
  }
  const silent = ours.get("latest-ledger") === null;
  expect(silent, `${name}: latest-ledger`).to.equal(recorded["latest-ledger"] === undefined);
}
