import { readFileSync } from "node:fs";
import { expect } from "chai";

interface Locked {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lockfile = readFileSync("package-lock.json", "utf8");
const { packages } = JSON.parse(lockfile) as { packages: Record<string, Locked> };

describe("the lockfile", () => {
  it("names the packages of every platform, without which `npm ci` refuses to install on any", () => {
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => packages[`node_modules/${name}`]?.version === undefined);
    expect(missing).to.deep.equal([]);
  });

  it("names no registry, so that `npm ci` asks the one the user configured", () => {
    expect(lockfile).not.to.include('"resolved"');
    expect(readFileSync("test/clients/typescript/package-lock.json", "utf8")).not.to.include('"resolved"');
  });
});
