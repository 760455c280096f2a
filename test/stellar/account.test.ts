import { expect } from "chai";
import { InvalidAccountError, isAccountId, muxedAddress, parseAccountId } from "../../src/stellar/account.js";

const ISSUER = "GDUKMGUGDZQK6YHYA5Z6AY2G4XDSZPSZ3SW5UN3ARVMO6QSRDWP5YLEX";

describe("account", () => {
  it("one mistyped letter is refused by the checksum", () => {
    expect(parseAccountId(ISSUER)).to.equal(ISSUER);
    expect(isAccountId(ISSUER)).to.equal(true);
    const mistyped = [`${ISSUER.slice(0, -1)}A`, ISSUER.toLowerCase(), "", null, `M${ISSUER.slice(1)}`];
    for (const text of [...mistyped, [ISSUER], 7, undefined]) {
      expect(isAccountId(text)).to.equal(false);
      expect(() => parseAccountId(text))
        .to.throw(InvalidAccountError)
        .with.property("name", "InvalidAccountError");
    }
  });

  it("has a muxed address for each id, as SEP-23 gives it in its examples", () => {
    const account = parseAccountId("GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ");
    expect(muxedAddress(account, "0")).to.equal(
      "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJUAAAAAAAAAAAACJUQ",
    );
    expect(muxedAddress(account, "9223372036854775808")).to.equal(
      "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVAAAAAAAAAAAAAJLK",
    );
  });
});
