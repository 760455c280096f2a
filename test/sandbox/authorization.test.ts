import { Asset, type Keypair, Operation, type xdr } from "@stellar/stellar-sdk";
import { expect } from "chai";
import { type Json, Stage } from "./stage.js";

const [REQUIRED, REVOCABLE, IMMUTABLE, CLAWBACK] = [1, 2, 4, 8] as const;
type Flag = typeof REQUIRED | typeof REVOCABLE | typeof IMMUTABLE | typeof CLAWBACK;

describe("sandbox: issuers that want to be asked", () => {
  let stage: Stage;
  let issuer: Keypair;
  let holder: Keypair;
  let usdc: Asset;

  beforeEach(async () => {
    stage = await Stage.open();
    [issuer, holder] = [stage.account(), stage.account()];
    usdc = new Asset("USDC", issuer.publicKey());
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const flags = (setFlags?: Flag, clearFlags?: Flag) =>
    Operation.setOptions({ ...(setFlags && { setFlags }), ...(clearFlags && { clearFlags }) });
  const trust = () => Operation.changeTrust({ asset: usdc });
  const allow = (
    change: Parameters<typeof Operation.setTrustLineFlags>[0]["flags"],
    trustor = holder.publicKey(),
    asset = usdc,
  ) => Operation.setTrustLineFlags({ trustor, asset, flags: change });
  const pay = (destination: Keypair) =>
    Operation.payment({ destination: destination.publicKey(), asset: usdc, amount: "5" });
  /** What an operation ends with, `op_success` where its transaction applied. */
  const code = (source: Keypair, operation: xdr.Operation) =>
    stage.codes(stage.build(source, [operation]))?.operations?.[0] ?? "op_success";
  const play = (source: Keypair, ...operations: xdr.Operation[]) =>
    stage.apply(stage.build(source, operations));
  const accountOf = async (key: Keypair): Promise<Json> =>
    (await stage.json(`/accounts/${key.publicKey()}`)).body;
  const lineOf = async (key: Keypair): Promise<Json> =>
    (await accountOf(key)).balances.find((each: Json) => each.asset_code === "USDC");
  /** The newest operation of a feed, and its effects, without what every record has. */
  const newest = async (key: Keypair) => {
    const { body } = await stage.json(`/accounts/${key.publicKey()}/operations?order=desc&limit=1`);
    const [{ id, type, type_i, _links, paging_token, created_at, transaction_hash, ...own }] =
      body._embedded.records;
    const effects = (await stage.json(`/operations/${id}/effects`)).body._embedded.records.map(
      ({ _links: links, id: effect, paging_token: token, created_at: at, ...rest }: Json) => rest,
    );
    return { type, type_i, own, effects };
  };

  it("a trustline is authorised unless the issuer has AUTH_REQUIRED, and then by set_trust_line_flags alone", async () => {
    play(holder, trust());
    expect(await lineOf(holder)).to.include({ is_authorized: true });
    play(issuer, flags(REQUIRED));
    expect((await accountOf(issuer)).flags).to.deep.equal({
      auth_required: true,
      auth_revocable: false,
      auth_immutable: false,
      auth_clawback_enabled: false,
    });
    expect(await lineOf(holder), "one that was there before stays").to.include({ is_authorized: true });

    const late = stage.account();
    play(late, trust());
    expect(await lineOf(late)).to.include({
      is_authorized: false,
      is_authorized_to_maintain_liabilities: false,
      is_clawback_enabled: false,
    });
    expect(code(issuer, pay(late))).to.equal("op_not_authorized");
    play(issuer, allow({ authorized: true }, late.publicKey()));
    expect(await lineOf(late)).to.include({
      is_authorized: true,
      is_authorized_to_maintain_liabilities: true,
    });
    expect(code(issuer, pay(late))).to.equal("op_success");
  });

  it("an issuer with AUTH_REVOCABLE takes it back: nothing comes and nothing goes, by any way", async () => {
    play(holder, trust());
    play(issuer, pay(holder));
    expect(code(issuer, allow({ authorized: false }))).to.equal("op_cant_revoke");
    play(issuer, flags(REVOCABLE));
    play(issuer, allow({ authorized: false }));
    expect(code(issuer, pay(holder))).to.equal("op_not_authorized");
    expect(code(holder, pay(issuer))).to.equal("op_src_not_authorized");
    const path = { sendAsset: usdc, destAsset: usdc, destination: holder.publicKey(), path: [] };
    expect(
      code(issuer, Operation.pathPaymentStrictSend({ ...path, sendAmount: "1", destMin: "1" })),
    ).to.equal("op_not_authorized");
    play(issuer, allow({ authorizedToMaintainLiabilities: true }));
    expect(await lineOf(holder)).to.include({
      is_authorized: false,
      is_authorized_to_maintain_liabilities: true,
    });
    expect(code(issuer, pay(holder)), "that is not enough").to.equal("op_not_authorized");
    expect(code(issuer, allow({ authorized: true })), "one of the two").to.equal("op_invalid_state");
    play(issuer, allow({ authorized: true, authorizedToMaintainLiabilities: false }));
    expect(code(issuer, pay(holder))).to.equal("op_success");
  });

  it("what makes no sense is refused as stellar-core does", async () => {
    play(holder, trust());
    const [all, unknown] = [(REQUIRED | REVOCABLE) as Flag, 16 as Flag];
    const cases: [string, Keypair, xdr.Operation][] = [
      ["op_bad_flags", issuer, flags(all, REVOCABLE)],
      ["op_unknown_flag", issuer, flags(unknown)],
      ["op_auth_revocable_required", issuer, flags(CLAWBACK)],
      ["op_not_supported", issuer, Operation.setOptions({ homeDomain: "example.com" })],
      ["op_not_supported", issuer, Operation.setOptions({ masterWeight: 2 })],
      ["op_malformed", holder, allow({ authorized: true })],
      ["op_malformed", issuer, allow({ authorized: true }, issuer.publicKey())],
      ["op_malformed", issuer, allow({ authorized: true }, holder.publicKey(), Asset.native())],
      ["op_malformed", issuer, allow({ authorized: true, authorizedToMaintainLiabilities: true })],
      ["op_malformed", issuer, allow({ clawbackEnabled: true })],
      ["op_no_trust", issuer, allow({ authorized: true }, stage.account().publicKey())],
    ];
    for (const [expected, source, operation] of cases) expect(code(source, operation)).to.equal(expected);
    play(issuer, flags((REVOCABLE | CLAWBACK) as Flag));
    const late = stage.account();
    play(late, trust());
    expect(await lineOf(late)).to.include({ is_authorized: true, is_clawback_enabled: true });
    play(issuer, flags(IMMUTABLE));
    expect(code(issuer, flags(REQUIRED))).to.equal("op_cant_change");
    expect(code(issuer, Operation.accountMerge({ destination: holder.publicKey() }))).to.equal(
      "op_immutable_set",
    );
  });

  it("records and effects are as Horizon writes them, what it does not show included", async () => {
    const [g, h] = [issuer.publicKey(), holder.publicKey()];
    const common = { transaction_successful: true, source_account: g };
    const asset = { asset_type: "credit_alphanum4", asset_code: "USDC", asset_issuer: g };
    play(issuer, flags((REQUIRED | REVOCABLE) as Flag));
    expect(await newest(issuer)).to.deep.equal({
      type: "set_options",
      type_i: 5,
      own: { ...common, set_flags: [1, 2], set_flags_s: ["auth_required", "auth_revocable"] },
      effects: [{ account: g, type: "account_flags_updated", type_i: 6, auth_required_flag: true }],
    });
    play(issuer, flags(undefined, REQUIRED));
    expect(await newest(issuer)).to.deep.equal({
      type: "set_options",
      type_i: 5,
      own: { ...common, clear_flags: [1], clear_flags_s: ["auth_required"] },
      effects: [{ account: g, type: "account_flags_updated", type_i: 6, auth_required_flag: false }],
    });
    play(issuer, Operation.setOptions({}));
    expect(await newest(issuer)).to.deep.include({ own: common, effects: [] });
    play(holder, trust());
    play(issuer, allow({ authorized: false, authorizedToMaintainLiabilities: true }));
    // In the feed of the holder, too.
    expect(await newest(holder)).to.deep.equal({
      type: "set_trust_line_flags",
      type_i: 21,
      own: {
        ...common,
        ...asset,
        trustor: h,
        set_flags: [2],
        set_flags_s: ["authorized_to_maintain_liabilites"],
        clear_flags: [1],
        clear_flags_s: ["authorized"],
      },
      effects: [
        {
          account: g,
          type: "trustline_flags_updated",
          type_i: 26,
          ...asset,
          trustor: h,
          authorized_flag: false,
        },
      ],
    });
  });
});
