import { expect } from "chai";
import {
  assetOfRecord,
  codeOf,
  InvalidAssetError,
  issuerOf,
  NATIVE,
  parseAsset,
} from "../../src/stellar/asset.js";

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
    { asset_type: "credit_alphanum4", asset_code: ["USD"], asset_issuer: ISSUER },
    { asset_type: "credit_alphanum4", asset_code: "USD", asset_issuer: [ISSUER] },
    { asset_type: "credit_alphanum4", asset_code: "USD", asset_issuer: `${ISSUER}A` },
    { asset_code: "USD", asset_issuer: ISSUER },
  ];
  for (const record of BAD) {
    it(`${JSON.stringify(record).slice(0, 70)} is refused`, () => {
      expect(() => assetOfRecord(record)).to.throw(InvalidAssetError);
    });
  }

  it("canonical text only", () => {
    expect(parseAsset("native")).to.equal("native");
    for (const text of ["XLM", "USD", `USD-${ISSUER}`, ISSUER, 7, null, [`USD:${ISSUER}`]]) {
      expect(() => parseAsset(text))
        .to.throw(InvalidAssetError)
        .with.property("name", "InvalidAssetError");
    }
  });

  it("of 5 to 12 letters is read too, and each tells its code and who issues it", () => {
    const long = assetOfRecord({
      asset_type: "credit_alphanum12",
      asset_code: "TWELVELETTER",
      asset_issuer: ISSUER,
    });
    expect(long).to.equal(`TWELVELETTER:${ISSUER}`);
    expect([codeOf(long), issuerOf(long)]).to.deep.equal(["TWELVELETTER", ISSUER]);
    expect([codeOf(NATIVE), issuerOf(NATIVE)]).to.deep.equal(["XLM", null]);
  });
});
