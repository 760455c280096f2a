import { setImmediate as nextTurn } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { Asset, Operation, xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { request } from "undici";
import { Stage } from "./stage.js";

describe("sandbox: transaction metas", () => {
  it("decode, name the accounts of each operation, and are as large as the network's", async () => {
    await using stage = await Stage.open();
    const { alice, bob, paid } = await hundred(stage);
    const { body } = await stage.json(`/transactions/${paid}`);
    const meta = xdr.TransactionMeta.fromXdr(body.result_meta_xdr, "base64");
    if (meta.type !== "v4") throw new Error(meta.type);
    expect(meta.v4.operations).to.have.length(100);
    const named = JSON.stringify(meta.toXdrObject(), (_, value) =>
      value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : typeof value === "bigint"
          ? `${value}`
          : value,
    );
    for (const key of [alice, bob]) {
      expect(named).to.contain(Buffer.from(key.rawPublicKey()).toString("hex"));
    }
    // What a real server gave for a hundred payments, and for the fee of each.
    expect([body.result_meta_xdr.length, body.fee_meta_xdr.length]).to.deep.equal([80_972, 400]);
    const single = stage.apply(stage.payment(alice, bob));
    expect((await stage.json(`/transactions/${single.hash}`)).body.result_meta_xdr).to.have.length(1244);
    const failed = stage.apply(stage.payment(alice, bob, "50000"));
    const short = (await stage.json(`/transactions/${failed.hash}`)).body.result_meta_xdr;
    expect(xdr.TransactionMeta.fromXdr(short, "base64").type).to.equal("v4");
    expect(short.length, "a failed one changed nothing but its fee").to.be.lessThan(500);
  });

  it("are repeated on each record with join=transactions: a page of 200 is about 19 MB, and much less with gzip", async () => {
    await using stage = await Stage.open();
    const { bob } = await hundred(stage, 2);
    const path = `/accounts/${bob.publicKey()}/payments?order=desc&limit=200`;
    const url = `${stage.sandbox.url}${path}&join=transactions`;
    const plain = await request(url, { headers: { "accept-encoding": "identity" } });
    expect(plain.headers["content-encoding"]).to.equal(undefined);
    const text = await plain.body.text();
    expect(text.length).to.be.within(18e6, 20e6);
    expect(JSON.parse(text)._embedded.records).to.have.length(200);
    const packed = await request(url, { headers: { "accept-encoding": "gzip" } });
    expect([packed.headers["content-encoding"], packed.headers.vary]).to.deep.equal([
      "gzip",
      "Accept-Encoding",
    ]);
    const bytes = Buffer.from(await packed.body.arrayBuffer());
    expect(bytes.length).to.be.lessThan(2e6);
    expect(gunzipSync(bytes).toString(), "the same text").to.equal(text);
    const lean = await request(`${stage.sandbox.url}${path}`);
    expect((await lean.body.text()).length, "without the transactions").to.be.lessThan(400_000);
  });

  it("keep nobody else waiting while such a page is written", async () => {
    await using stage = await Stage.open();
    const { bob } = await hundred(stage, 2);
    const path = `/accounts/${bob.publicKey()}/payments?order=desc&limit=200&join=transactions`;
    const page = await fetch(`${stage.sandbox.url}${path}`);
    let whole = false;
    const reading = page.text().then((text) => {
      whole = true;
      return text;
    });
    expect((await stage.json("/")).status).to.equal(200);
    expect(whole, "it was answered before the page was whole").to.equal(false);
    expect(JSON.parse(await reading)._embedded.records).to.have.length(200);
  });

  it("come whole on a stream too, to a client that reads slowly, however often the server looks meanwhile", async () => {
    await using stage = await Stage.open({ lookMs: 1 });
    const { bob } = await hundred(stage, 2);
    const path = `/accounts/${bob.publicKey()}/payments?limit=200&cursor=0&join=transactions`;
    const { body } = await request(`${stage.sandbox.url}${path}`, {
      headers: { accept: "text/event-stream" },
    });
    let text = "";
    for await (const chunk of body.setEncoding("utf8")) {
      text += chunk;
      await nextTurn();
    }
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id);
    expect(ids).to.have.length(200);
    expect(ids, "in order, each once").to.deep.equal([...new Set(ids)].toSorted());
    expect(text).to.match(/event: close\ndata: "byebye"\n\n$/);
  });

  it("are left out where speed alone is measured", async () => {
    await using stage = await Stage.open({ resultMeta: false });
    const { paid } = await hundred(stage);
    const { body } = await stage.json(`/transactions/${paid}`);
    expect([body.result_meta_xdr, body.fee_meta_xdr]).to.deep.equal(["", ""]);
  });
});

/** Transactions of a hundred payments each, in a ledger of their own. */
async function hundred(stage: Stage, transactions = 1) {
  const [alice, bob] = [stage.account("10000"), stage.account()];
  let paid = "";
  for (let i = 0; i < transactions; i++) {
    const payments = Array.from({ length: 100 }, () =>
      Operation.payment({ destination: bob.publicKey(), asset: Asset.native(), amount: "1" }),
    );
    paid = stage.apply(stage.build(alice, payments)).hash;
  }
  return { alice, bob, paid };
}
