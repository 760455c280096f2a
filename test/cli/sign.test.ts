import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { NATIVE } from "../../src/stellar/asset.js";
import { parseStroops } from "../../src/stellar/stroops.js";
import { checkCharge } from "../../src/submission/check-payment.js";
import { readEnvelope } from "../../src/submission/read-envelope.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { Stage } from "../sandbox/stage.js";
import { newAccount } from "../support/books.js";
import { CLI, roleEnvironment } from "../support/role-process.js";

const run = promisify(execFile);

describe("paidonce sign", () => {
  let stage: Stage;

  before(async () => {
    stage = await Stage.open({ ledgerMs: 50 });
  });
  after(() => stage[Symbol.asyncDispose]());

  const sign = async (args: readonly string[], passphrase = SANDBOX_PASSPHRASE) => {
    const env = roleEnvironment({
      DATABASE_URL: "postgres://none/none",
      REDIS_URL: "redis://127.0.0.1:9",
      HORIZON_URL: stage.sandbox.url,
      NETWORK_PASSPHRASE: passphrase,
    });
    try {
      const { stdout } = await run(process.execPath, [CLI, "sign", ...args], { env });
      return { code: 0, text: stdout.trim(), stderr: "" };
    } catch (error) {
      const { code, stderr } = error as { code: number; stderr: string };
      return { code, text: "", stderr };
    }
  };

  it("prints what a charge takes, signed by somebody new each time, and sends nothing", async () => {
    const to = newAccount();
    const payers = new Set<string>();
    for (const memo of [[], ["--memo-id", "42"]]) {
      const { text } = await sign(["--to", to, "--amount", "12.50", ...memo]);
      const envelope = readEnvelope(text, SANDBOX_PASSPHRASE);
      const charged = { account: to, asset: NATIVE, amount: parseStroops("12.5") };
      expect(checkCharge(envelope, charged, new Date()).account).to.equal(to);
      expect(envelope.memo === null).to.equal(memo.length === 0);
      payers.add(envelope.source);
      const { sequence } = await stage.server.loadAccount(envelope.source);
      expect(BigInt(sequence) & 0xffffffffn, "its number is not used").to.equal(0n);
    }
    expect(payers.size).to.equal(2);
  });

  it("is for the sandbox alone, and says what is wrong with what it is told", async () => {
    const to = newAccount();
    const elsewhere = await sign(
      ["--to", to, "--amount", "1"],
      "Public Global Stellar Network ; September 2015",
    );
    expect([elsewhere.code, elsewhere.stderr]).to.satisfy(
      ([code, words]: [number, string]) => code === 2 && words.includes("sandbox alone"),
    );
    for (const [args, words] of [
      [["--to", "G123", "--amount", "1"], "a G… address"],
      [["--to", to, "--amount", "1", "--memo", "x".repeat(29)], "28 bytes"],
    ] as const) {
      const { code, stderr } = await sign(args);
      expect(code).to.equal(2);
      expect(stderr).to.include(words);
    }
  });
});
