import { spawn } from "node:child_process";
import { expect } from "chai";
import { readConfig } from "../../../src/config.js";
import { hashPassword, isPassword } from "../../../src/http/ops/login.js";
import { REQUIRED } from "../../docs/configuration-page.js";
import { CLI } from "../../support/role-process.js";

/** Runs `paidonce hash-password` with this on its stdin. */
async function hashByCommand(input: string): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [CLI, "hash-password"], { env: {} });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out, err };
}

describe("the operators' password", () => {
  it("is recognised by its hash, and no other is", async () => {
    const hash = await hashPassword("correct horse battery");
    expect(await isPassword("correct horse battery", hash)).to.equal(true);
    expect(await isPassword("correct horse batterz", hash)).to.equal(false);
    expect(await isPassword("", hash)).to.equal(false);
    expect(await hashPassword("correct horse battery")).not.to.equal(hash);
  });

  it("is the same however a keyboard composes its letters", async () => {
    expect(await isPassword("caf\u00e9 au lait!", await hashPassword("cafe\u0301 au lait!"))).to.equal(true);
  });

  it("is hashed by `paidonce hash-password` into a line that the configuration takes as it is", async () => {
    const { code, out } = await hashByCommand("correct horse battery\n");
    expect(code).to.equal(0);
    expect(out).not.to.match(/[$'"\\ ]/);
    const { OPS_PASSWORD_HASH = "" } = readConfig({ ...REQUIRED, OPS_PASSWORD_HASH: out.trim() });
    expect(await isPassword("correct horse battery", OPS_PASSWORD_HASH)).to.equal(true);
  });

  it("is refused when it is short or missing, and never repeated", async () => {
    for (const input of ["hush\n", ""]) {
      const { code, out, err } = await hashByCommand(input);
      expect([code, out]).to.deep.equal([1, ""]);
      expect(err).to.include("12 characters").and.not.include("hush");
    }
  });

  it("with a cost that would take all memory is refused, not tried", async () => {
    const hash = (await hashPassword("correct horse battery")).replace("scrypt:15", "scrypt:31");
    expect(await isPassword("correct horse battery", hash)).to.equal(false);
  });
});
