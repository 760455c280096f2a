import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  AlreadyRunningError,
  claimDataFolder,
  readAddresses,
  writeAddresses,
} from "../../stage/up/data-folder.js";

describe("the data folder of `up`", () => {
  let folder: string;
  const running: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "paidonce-test-"));
  });
  afterEach(async () => {
    for (const child of running.splice(0)) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    await rm(folder, { recursive: true });
  });

  /** A process that lives, called as given. */
  const live = (...args: string[]): number => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", ...args]);
    running.push(child);
    return child.pid ?? 0;
  };
  const leave = (pid: number | string) => writeFile(join(folder, "up.pid"), `${pid}\n`);

  it("is refused while another `up` has it", async () => {
    await leave(live("cli.js", "up"));
    const error = await claimDataFolder(folder).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(AlreadyRunningError);
  });

  it("of two that start at once, one gets it", async () => {
    const claims = await Promise.allSettled([claimDataFolder(folder), claimDataFolder(folder)]);
    expect(claims.filter(({ status }) => status === "fulfilled")).to.have.length(1);
  });

  for (const [what, pid] of [
    ["a process that is dead", () => 2 ** 22 + 1],
    ["a stranger that got the number after a restart of the machine", () => live("database")],
    ["nonsense", () => "x"],
  ] as const) {
    it(`is free when it was left by ${what}`, async () => {
      await leave(pid());
      const claim = await claimDataFolder(folder);
      expect(await readFile(join(folder, "up.pid"), "utf8")).to.equal(`${process.pid}\n`);
      await claim.release();
    });
  }

  it("tells the addresses of a running `up`, and none of one that is gone", async () => {
    await writeAddresses(folder, { REDIS_URL: "redis://x" });
    await leave(live("cli.js", "up"));
    expect(await readAddresses(folder)).to.deep.equal({ REDIS_URL: "redis://x" });
    await leave(2 ** 22 + 1);
    expect(await readAddresses(folder)).to.deep.equal({});
  });
});
