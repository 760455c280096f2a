import {
  Asset,
  type FeeBumpTransaction,
  Memo,
  Operation,
  type Transaction,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import { expect } from "chai";
import { freePort } from "../../stage/machine/free-port.js";
import { ADMIN_KEY, type ApiAnswer, ask, type Json } from "../support/api.js";
import { postXdr, signedForShown, validFor } from "../support/handed-in.js";
import { endRoles, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

const AMOUNT = "12.5";

/**
 * A customer pays without a memo, and everybody can read the envelope on the network. A stranger hands it in as the payment
 * of their own session, and of their own order. All roles run as an operator runs them: whichever of them sees what first,
 * the money stays a question for a person.
 */
describe("a public envelope in a stranger's hands, in real processes", function () {
  this.timeout(120_000);
  let spine: Spine;
  let url: string;
  let key: string;

  beforeEach(async () => {
    spine = await Spine.open("optional", { ledgerMs: 200 });
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const env = {
      DATABASE_URL: spine.database.url,
      ...spine.server.env,
      HORIZON_URL: spine.stage.sandbox.url,
      ADMIN_KEY,
      PUBLIC_URL: "https://pay.example.com",
    };
    await Promise.all([
      startRole("api", { ...env, PORT: String(port) }),
      ...(["ingest", "consume", "work"] as const).map((role) => startRole(role, env)),
    ]);
    const keys = `/v1/merchants/${spine.owner.merchantId}/keys`;
    key = (await ask(url, "POST", keys, { key: ADMIN_KEY, body: {} })).body.key;
  });
  afterEach(async () => {
    await endRoles();
    await spine[Symbol.asyncDispose]();
  });

  const api = (method: string, path: string, body?: object) =>
    ask(url, method, path, { key, ...(body && { body }) });
  const xdrOf = (envelope: Transaction | FeeBumpTransaction) => envelope.toEnvelope().toXdr("base64");
  const payment = (memo?: Memo) =>
    spine.stage.build(
      spine.payer,
      [Operation.payment({ destination: spine.owner.account, asset: Asset.native(), amount: AMOUNT })],
      { bounds: validFor(600), ...(memo && { memo }) },
    );
  const bumped = (inner: Transaction, bumper = spine.stage.account("100")) => {
    const { passphrase } = spine.stage.network;
    const bump = TransactionBuilder.buildFeeBumpTransaction(bumper, "400", inner, passphrase);
    bump.sign(bumper);
    return bump;
  };
  const openSession = async (): Promise<Json> => {
    const { status, body } = await api("POST", "/v1/checkout/sessions", { amount: AMOUNT, asset: "native" });
    expect(status, JSON.stringify(body)).to.equal(201);
    return body;
  };
  const sessionOf = async ({ id }: Json): Promise<Json> =>
    (await api("GET", `/v1/checkout/sessions/${id}`)).body;
  const charge = (transaction: string, reference: string) =>
    api("POST", "/v1/charges", {
      ...{ amount: AMOUNT, asset: "native", reference, provider: "stellar" },
      payload: { transaction },
    });
  const exceptions = async (): Promise<Json[]> => (await api("GET", "/v1/exceptions")).body.data;
  const expectRefused = ({ status, body }: ApiAnswer, what: string) => {
    expect(status, `${what}: ${JSON.stringify(body)}`).to.be.within(400, 499);
    expect(status, "refused for what it is, and not for how often").not.to.equal(429);
  };

  /** Everything that was asked for before has been looked at by each role once these are done. */
  async function honestOnesArePaid(): Promise<void> {
    const session = await openSession();
    expect((await postXdr(url, session.id, signedForShown(session, spine.stage))).status).to.equal(202);
    const { body } = await api("GET", "/v1/charges/memo?reference=honest");
    const accepted = await charge(xdrOf(payment(Memo.hash(body.memo.value))), "honest");
    expect(accepted.status, JSON.stringify(accepted.body)).to.equal(202);
    await eventually(async () => (await sessionOf(session)).status === "paid");
    await eventually(
      async () => (await api("GET", `/v1/charges/${accepted.body.id}`)).body.status === "succeeded",
    );
  }

  for (const [moment, isFirst] of [
    ["before it was sent, and again once it is in the books", true],
    ["once it is in the books", false],
  ] as const) {
    for (const sent of ["as the customer signed it", "in somebody's fee bump"] as const) {
      it(`handed in ${moment}, sent ${sent}: the exception stays open, and nothing is paid by it`, async () => {
        const session = await openSession();
        const paid = payment();
        const bump = bumped(paid);
        const other = bumped(paid);
        const handInAll = async (when: string) => {
          for (const [what, envelope] of Object.entries({ plain: paid, bump, "another bump": other })) {
            const xdr = xdrOf(envelope);
            expectRefused(await postXdr(url, session.id, xdr), `${what} for a session, ${when}`);
            expectRefused(await charge(xdr, `strangers-${what}`), `${what} for a charge, ${when}`);
          }
        };
        if (isFirst) await handInAll("before");
        spine.stage.apply(sent === "as the customer signed it" ? paid : bump);
        await eventually(async () => (await exceptions()).length === 1);
        await handInAll("after");
        await honestOnesArePaid();

        const [exception, ...more] = await exceptions();
        expect(more).to.deep.equal([]);
        expect(exception).to.include({ reason: "no_memo", open: true, verdict: null, session_id: null });
        expect(await sessionOf(session)).to.include({ status: "pending" });
        const { data } = (await api("GET", "/v1/charges")).body;
        expect(data.map(({ reference, status }: Json) => [reference, status])).to.deep.equal([
          ["honest", "succeeded"],
        ]);
        const submissions = await spine.database.dataSource.query("SELECT hash FROM submissions");
        expect(submissions, "of the honest ones").to.have.length(2);
        await spine.expectBooksToBalance();
      });
    }
  }
});
