import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));

/** Exit code and all that it printed. */
function run(program: string, ...args: string[]): Promise<{ code: number; output: string }> {
  const env = { PATH: process.env.PATH ?? "", NODE_ENV: "production" };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), output: stdout + stderr }),
    );
  });
}

describe("the image's files alone", () => {
  let image: string;
  before(async () => {
    image = await mkdtemp(join(tmpdir(), "paidonce-image-"));
    await cp(join(CHECKOUT, "dist/src"), join(image, "dist/src"), { recursive: true });
    for (const name of ["node_modules", "assets", "package.json"])
      await symlink(join(CHECKOUT, name), join(image, name));
  });
  after(() => rm(image, { recursive: true, force: true }));

  it("are a whole service, without the sandboxes, the servers and the demo of a checkout", async () => {
    const program = join(image, "dist/src/cli.js");
    const help = await run(program, "--help");
    expect(help.code, help.output).to.equal(0);
    for (const command of ["ingest", "consume", "work", "api", "migrate", "status"])
      expect(help.output).to.match(new RegExp(`^  ${command} `, "m"));
    for (const command of ["up", "sandbox", "stripe-sandbox", "customers", "pay", "sign", "demo-key"])
      expect(help.output).not.to.match(new RegExp(`^  ${command} `, "m"));
    // Loads all that a role needs before it looks for its servers.
    for (const role of ["ingest", "consume", "work", "api", "migrate"]) {
      const { code, output } = await run(program, role);
      expect(code, output).to.equal(2);
      expect(output).to.contain("DATABASE_URL");
    }
  });
});
