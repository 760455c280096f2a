import { expect } from "chai";
import type { CheckoutSession } from "../../../src/entities/checkout-session.js";
import { settle } from "../../../src/settlement/settle.js";
import { parseAsset } from "../../../src/stellar/asset.js";
import { type Credit, creditKeyText } from "../../../src/stellar/credit.js";
import { parseStroops } from "../../../src/stellar/stroops.js";
import { ADMIN_KEY, startApi, type TestApi } from "../../support/api.js";
import { aSession, creditFor, newAccount, openSessions } from "../../support/books.js";
import { Spine } from "../../support/spine.js";

describe("the checkout page after a verdict", () => {
  let spine: Spine;
  let api: TestApi;
  let key: string;

  before(async () => {
    spine = await Spine.open("off");
    api = await startApi(spine.database.dataSource, spine.server.target);
    const keys = `/v1/merchants/${spine.owner.merchantId}/keys`;
    key = (await api.ask("POST", keys, { key: ADMIN_KEY, body: {} })).body.key;
  });
  after(async () => {
    await api.stop();
    await spine[Symbol.asyncDispose]();
  });

  const open = async (changes: Partial<CheckoutSession> = {}): Promise<CheckoutSession> => {
    const session = aSession(spine.owner, {
      expiresAt: new Date(Date.now() + 3e6),
      successUrl: "https://shop.example.com/thanks",
      ...changes,
    });
    await openSessions(spine.database.dataSource, session);
    return session;
  };
  const comes = async (session: CheckoutSession, changes: Partial<Credit> = {}): Promise<Credit> => {
    const credit = creditFor(session, changes);
    await settle(spine.database.dataSource, [credit]);
    return credit;
  };
  const decide = async (credit: Credit, verdict: string) => {
    const path = `/v1/exceptions/${creditKeyText(credit)}/verdict`;
    const { status } = await api.ask("POST", path, { key, body: { verdict, note: "n" } });
    expect(status).to.equal(200);
  };
  const shown = async ({ id }: CheckoutSession) => {
    const page: string = (await api.ask("GET", `/pay/${id}`, { headers: { Accept: "text/html" } })).body;
    const items = [...page.matchAll(/<li>(.*?)<\/li>/g)].map(([, text = ""]) =>
      text.replaceAll(/<[^>]*>/g, "").replaceAll("\u00a0", " "),
    );
    return { page, items, leaves: page.includes("data-redirect") };
  };
  const anomalyOf = async ({ id }: CheckoutSession) =>
    (await api.ask("GET", `/v1/checkout/sessions/${id}`, { key })).body.anomaly;

  it("says of money that came late and is owed back that it arrived: never that nothing has", async () => {
    const session = await open({ status: "cancelled" });
    const late = await comes(session);
    expect(await anomalyOf(session)).to.equal("late");
    const before = await shown(session);
    expect(before.items).to.deep.equal([
      "10 XLM came too late. It is with Test merchant, who has not decided about it yet.",
    ]);
    await decide(late, "refund");
    expect(await anomalyOf(session)).to.equal(null);
    const { page, items } = await shown(session);
    expect(page).to.not.include("No payment arrived");
    expect(page).to.include("below stands what became of it");
    expect(items).to.deep.equal([
      "10 XLM came too late. Test merchant owes it to its sender and will send it back.",
    ]);
  });

  it("says of an order that was paid twice what became of both, and does not leave by itself", async () => {
    const session = await open();
    await comes(session);
    const alone = await shown(session);
    expect([alone.items, alone.leaves], "paid once").to.deep.equal([[], true]);
    const second = await comes(session);
    expect((await shown(session)).leaves, "the second one is in question").to.equal(false);
    await decide(second, "refund");
    const { page, items, leaves } = await shown(session);
    expect(items).to.deep.equal([
      "10 XLM paid this order.",
      "10 XLM came after the order was paid. Test merchant owes it to its sender and will send it back.",
    ]);
    expect(page).to.include("Paid. Thank you!").and.to.include("stands below");
    expect(leaves).to.equal(false);
  });

  it("lists too little, another asset and what was dismissed, and tells of another asset in the API too", async () => {
    const session = await open();
    const short = await comes(session, { amount: parseStroops("4") });
    await decide(short, "dismiss");
    await comes(session, { asset: parseAsset(`USD:${newAccount()}`) });
    expect(await anomalyOf(session)).to.equal("wrong_asset");
    const { items, page } = await shown(session);
    expect(items).to.deep.equal([
      "4 XLM was too little. Test merchant has looked at it, and it does not count for this order: please ask there.",
      "10 USD is not the asset that was asked for. It is with Test merchant, who has not decided about it yet.",
    ]);
    expect(page, "it can still be paid").to.include("Open my wallet");
  });

  it("has a bound, and says so: a stranger's many small payments make no endless page", async () => {
    const session = await open();
    const credits = Array.from({ length: 25 }, () =>
      creditFor(session, { amount: parseStroops("0.0000001") }),
    );
    await settle(spine.database.dataSource, credits);
    const { items, page } = await shown(session);
    expect(items).to.have.length(20);
    expect(page).to.include("There is more");
  });
});
