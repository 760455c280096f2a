import { Asset, Memo, Operation } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { readFixture } from "../support/fixtures.js";
import { type Json, Stage } from "./stage.js";

/** Fields that a real record may lack or carry by its content, not by its shape. */
const BY_CONTENT = [
  "memo",
  "memo_bytes",
  "valid_after",
  "valid_before",
  "preconditions",
  "asset_code",
  "asset_issuer",
];

/** As published, the records of years ago lack them, or the documentation's YAML lost their quotes. */
const GREW_SINCE = ["fee_account", "_links.transaction"];
const UNQUOTED = ["fee_charged", "max_fee"];

describe("sandbox: records against real ones, field by field", function () {
  const read = (name: string): Json[] => readFixture(name).map(({ record }: Json) => record);
  this.timeout(10_000);

  it("operations", async () => {
    await using stage = await Stage.open();
    const ours = await operations(stage);
    for (const theirs of read("operations.json"))
      compare(theirs, ours.get(`${theirs.type} ${theirs.asset_type}`));
  });

  it("transactions", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const paid = stage.apply(stage.payment(alice, bob, "1", { memo: Memo.text("m") }));
    const ours = (await stage.json(`/transactions/${paid.hash}`)).body;
    for (const theirs of read("transactions.json")) compare(theirs, ours);
  });

  it("effects", async () => {
    await using stage = await Stage.open();
    const [alice, bob] = [stage.account(), stage.account()];
    const paid = stage.apply(stage.payment(alice, bob, "1"));
    const { body } = await stage.json(`/operations/${paid.operations[0]?.id}/effects`);
    for (const theirs of read("effects-account-credited.json")) compare(theirs, body._embedded.records[0]);
  });
});

/** One of each kind that the fixtures have, by type and asset type. */
async function operations(stage: Stage): Promise<Map<string, Json>> {
  const [alice, bob] = [stage.account(), stage.account()];
  const { asset } = stage.asset("USD", [alice, bob]);
  const lumens = Asset.native();
  const destination = bob.publicKey();
  const found = new Map<string, Json>();
  for (const operation of [
    Operation.payment({ destination, asset, amount: "1" }),
    Operation.payment({ destination, asset: lumens, amount: "1" }),
    Operation.pathPaymentStrictSend({
      sendAsset: asset,
      sendAmount: "1",
      destination,
      destAsset: asset,
      destMin: "1",
    }),
  ]) {
    const applied = stage.apply(stage.build(alice, [operation]));
    const { body } = await stage.json(`/operations/${applied.operations[0]?.id}`);
    found.set(`${body.type} ${body.asset_type}`, body);
  }
  const { body } = await stage.json(`/payments?limit=1`);
  found.set("create_account undefined", body._embedded.records[0]);
  return found;
}

function compare(theirs: Json, ours: Json): void {
  const shape = (record: Json) =>
    new Map(
      paths(record).filter(
        ([path]) => !BY_CONTENT.includes(path.split(".")[0] ?? "") && !path.startsWith("source_asset"),
      ),
    );
  const [real, made] = [shape(theirs), shape(ours)];
  for (const [path, type] of real) {
    if (UNQUOTED.includes(path)) continue;
    expect(made.get(path), `${theirs.type ?? theirs.hash}: ${path}`).to.equal(type);
  }
  if (theirs._links === undefined) return;
  for (const path of made.keys()) {
    const grew = GREW_SINCE.some((known) => path.startsWith(known));
    if (!grew) expect([...real.keys()], `only we have ${path}`).to.include(path);
  }
}

/** Every path of a record with the type of its value; arrays by their first element. */
function paths(value: Json, prefix = ""): [string, string][] {
  if (typeof value !== "object" || value === null) return [[prefix, value === null ? "null" : typeof value]];
  if (Array.isArray(value)) return [[prefix, "array"]];
  return Object.entries(value).flatMap(([key, inner]) =>
    paths(inner, prefix === "" ? key : `${prefix}.${key}`),
  );
}
