import { expect } from "chai";
import { InvalidAccountError, parseAccountId } from "../../src/stellar/account.js";
import { assetOfRecord, InvalidAssetError, parseAsset } from "../../src/stellar/asset.js";

const ISSUER = "GDUKMGUGDZQK6YHYA5Z6AY2G4XDSZPSZ3SW5UN3ARVMO6QSRDWP5YLEX";

describe("asset", () => {
  it("is code and issuer, so another issuer's USDC is another asset", () => {
    const usd = { asset_type: "credit_alphanum4", asset_code: "USD", asset_issuer: ISSUER };
    expect(assetOfRecord(usd)).to.equal(`USD:${ISSUER}`);
    expect(assetOfRecord({ asset_type: "native" })).to.equal("native");
    expect(assetOfRecord({ ...usd, asset_code: "usd" })).to.not.equal(assetOfRecord(usd));
  });

  const BAD = [
    {},
    { asset_type: "credit_alphanum4", asset_code: "USD" },
    { asset_type: "credit_alphanum4", asset_code: "", asset_issuer: ISSUER },
    { asset_type: "credit_alphanum12", asset_code: "THIRTEENCHARS", asset_issuer: ISSUER },
    { asset_type: "liquidity_pool_shares", asset_code: "USD", asset_issuer: ISSUER },
    { asset_type: "credit_alphanum4", asset_code: "U D", asset_issuer: ISSUER },
    { asset_type: "credit_alphanum4", asset_code: ["USD"], asset_issuer: [ISSUER] },
  ];
  for (const record of BAD) {
    it(`${JSON.stringify(record).slice(0, 70)} is refused`, () => {
      expect(() => assetOfRecord(record)).to.throw(InvalidAssetError);
    });
  }

  it("canonical text only", () => {
    expect(parseAsset("native")).to.equal("native");
    for (const text of ["XLM", "USD", `USD-${ISSUER}`, ISSUER, 7, null]) {
      expect(() => parseAsset(text)).to.throw(InvalidAssetError);
    }
  });
});

describe("account", () => {
  it("one mistyped letter is refused by the checksum", () => {
    expect(parseAccountId(ISSUER)).to.equal(ISSUER);
    for (const text of [`${ISSUER.slice(0, -1)}A`, ISSUER.toLowerCase(), "", null, `M${ISSUER.slice(1)}`]) {
      expect(() => parseAccountId(text)).to.throw(InvalidAccountError);
    }
  });
});
