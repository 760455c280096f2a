import { expect } from "chai";
import { receivingState } from "../../src/horizon/receiving-state.js";
import { type Asset, NATIVE, parseAsset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import {
  type Obstacle,
  obstacleFor,
  type ReceivingState,
  remedyFor,
  roomFor,
} from "../../src/stellar/payable.js";
import { parseStroops, toStroops } from "../../src/stellar/stroops.js";

const SHOP = "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA" as AccountId;
const ISSUER = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
const OTHER = "GDUKMGUGDZQK6YHYA5Z6AY2G4XDSZPSZ3SW5UN3ARVMO6QSRDWP5YLEX";
const USDC = parseAsset(`USDC:${ISSUER}`);
const OWN = parseAsset(`GIFT:${SHOP}`);
const MISSING: ReceivingState = { kind: "missing" };

const LUMENS = { asset_type: "native", balance: "10.0000000", buying_liabilities: "0.0000000" };
const LINE = {
  asset_type: "credit_alphanum4",
  asset_code: "USDC",
  asset_issuer: ISSUER,
  balance: "70.0000000",
  limit: "100.0000000",
  buying_liabilities: "5.0000000",
  selling_liabilities: "30.0000000",
  is_authorized: true,
  is_authorized_to_maintain_liabilities: true,
};

/** An account as Horizon serves it, with these balances beside its lumens. */
const stateWith = (balances: readonly object[], more: object = {}) =>
  receivingState({ balances: [...balances, LUMENS], flags: { auth_required: false }, data: {}, ...more });
const ofUsdc = (
  state: ReceivingState,
  amount = "1",
  issuer: ReceivingState | null = null,
  asset: Asset = USDC,
) => obstacleFor({ account: SHOP, asset, amount: parseStroops(amount) }, state, issuer);

describe("whether an account can be paid", () => {
  const AUTHORISING = stateWith([], { flags: { auth_required: true } });
  const CASES: readonly [what: string, found: Obstacle | null, expected: Obstacle | null][] = [
    ["a trustline with room", ofUsdc(stateWith([LINE])), null],
    ["exactly what fits", ofUsdc(stateWith([LINE]), "25"), null],
    [
      "a stroop more, since offers have been promised the rest",
      ofUsdc(stateWith([LINE]), "25.0000001"),
      "limit_reached",
    ],
    ["exactly the limit, of a line that is not empty", ofUsdc(stateWith([LINE]), "100"), "limit_reached"],
    ["more than the limit", ofUsdc(stateWith([LINE]), "100.0000001"), "limit_too_low"],
    ["a full line", ofUsdc(stateWith([{ ...LINE, balance: "100.0000000" }]), "0.0000001"), "limit_reached"],
    [
      "a line whose limit was set below what is promised",
      ofUsdc(stateWith([{ ...LINE, balance: "99.0000000" }]), "1"),
      "limit_reached",
    ],
    [
      "a line without authorisation",
      ofUsdc(stateWith([{ ...LINE, is_authorized: false }])),
      "not_authorized",
    ],
    ["no line", ofUsdc(stateWith([])), "no_trustline"],
    ["no line, of an issuer who authorises", ofUsdc(stateWith([]), "1", AUTHORISING), "no_trustline"],
    ["no line, and no issuer", ofUsdc(stateWith([]), "1", MISSING), "issuer_missing"],
    ["a line of an issuer who is gone", ofUsdc(stateWith([LINE]), "1", MISSING), null],
    [
      "a line for another issuer's USDC",
      ofUsdc(stateWith([{ ...LINE, asset_issuer: OTHER }])),
      "no_trustline",
    ],
    ["a line for usdc", ofUsdc(stateWith([{ ...LINE, asset_code: "usdc" }])), "no_trustline"],
    [
      "shares of a pool alone",
      ofUsdc(stateWith([{ asset_type: "liquidity_pool_shares", balance: "1.0000000" }])),
      "no_trustline",
    ],
    ["no account", ofUsdc(MISSING), "account_missing"],
    ["no account and no issuer", ofUsdc(MISSING, "1", MISSING), "issuer_missing"],
    ["what the account issues itself", ofUsdc(stateWith([]), "899999999999", null, OWN), null],
    ["what an account issues that does not exist", ofUsdc(MISSING, "1", MISSING, OWN), "account_missing"],
    ["lumens", ofUsdc(stateWith([]), "899999999999", null, NATIVE), null],
    [
      "more lumens than the network can count",
      ofUsdc(stateWith([]), "922337203680", null, NATIVE),
      "limit_reached",
    ],
    ["lumens to nobody", ofUsdc(MISSING, "1", null, NATIVE), "account_missing"],
  ];
  for (const [what, found, expected] of CASES) {
    it(`${what}: ${expected ?? "payable"}`, () => expect(found).to.equal(expected));
  }

  it("says what can still arrive: nothing where something is in the way, of its own asset without end", () => {
    const room = (asset: Asset, state: ReceivingState) => roomFor(SHOP, asset, state);
    expect(room(USDC, stateWith([LINE]))).to.equal(parseStroops("25"));
    expect(room(USDC, stateWith([{ ...LINE, is_authorized: false }]))).to.equal(0n);
    expect(room(USDC, stateWith([]))).to.equal(0n);
    expect(room(USDC, MISSING)).to.equal(0n);
    expect(room(OWN, stateWith([]))).to.equal(2n ** 63n - 1n);
    expect(room(NATIVE, stateWith([]))).to.equal(2n ** 63n - 1n - parseStroops("10"));
  });

  it("takes lumens up to the last stroop that fits", () => {
    const state = stateWith([]);
    const room = roomFor(SHOP, NATIVE, state);
    expect(obstacleFor({ account: SHOP, asset: NATIVE, amount: room }, state)).to.equal(null);
    const over = toStroops(room + 1n);
    expect(obstacleFor({ account: SHOP, asset: NATIVE, amount: over }, state)).to.equal("limit_reached");
  });

  it("says what to do about each, and that an issuer must consent", () => {
    const payee = { account: SHOP, asset: USDC, amount: parseStroops("12.5") };
    const words: Readonly<Record<Obstacle, RegExp>> = {
      account_missing: /does not exist.*sending it lumens/,
      no_trustline: /no trustline.*change_trust/,
      issuer_missing: /nobody can hold.*mistake/,
      not_authorized: /ask its issuer to authorise/,
      limit_reached: /less room .* than 12\.5.*raise/,
      limit_too_low: /limit below 12\.5: raise/,
    };
    for (const [obstacle, expected] of Object.entries(words) as [Obstacle, RegExp][]) {
      expect(remedyFor(obstacle, payee)).to.match(expected);
    }
    expect(remedyFor("no_trustline", payee)).to.match(/operation\.$/);
    expect(remedyFor("no_trustline", payee, AUTHORISING)).to.match(/AUTH_REQUIRED.*ask the issuer/);
    expect(remedyFor("no_trustline", payee, stateWith([]))).to.not.include("AUTH_REQUIRED");
  });

  it("reads whether memos are asked for (SEP-29): the entry must be 1", () => {
    const asks = (data: unknown) => {
      const state = stateWith([], { data });
      return state.kind === "exists" && state.requiresMemo;
    };
    expect(asks({ "config.memo_required": "MQ==" })).to.equal(true);
    for (const data of [
      { "config.memo_required": "MA==" },
      { "config.memo_required": "" },
      { memo_required: "MQ==" },
      undefined,
    ])
      expect(asks(data)).to.equal(false);
  });

  it("an account that says less than it has is no answer", () => {
    const broken = [
      {},
      { balances: {} },
      { balances: [] },
      { balances: [{ ...LUMENS, balance: 10 }] },
      { balances: [LINE] },
      { balances: [LUMENS, { ...LINE, limit: undefined }] },
      { balances: [LUMENS, { ...LINE, asset_code: undefined }] },
    ];
    for (const fields of broken) expect(() => receivingState(fields)).to.throw(/can't be read/);
  });
});
