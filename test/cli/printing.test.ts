import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { settle } from "../../src/settlement/settle.js";
import { textMemo } from "../../src/stellar/memo.js";
import { visibleText } from "../../src/visible-text.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { anUnreadable, aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { aCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { CLI, roleEnvironment } from "../support/role-process.js";

/** A pipe holds 64 KiB: more than this has to be read, or is refused. */
const MANY = 900;

/** What no terminal may get from somebody else: Unicode's controls, formats and separators, but for our line breaks. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const HOSTILE = "pay\u001b[2K\u001b[1A\r\u202e100\u2066\u200b\u0007\u009b31m\u2028\u0085\nOPEN  all is well";

describe("src/cli/print: what commands print", () => {
  let database: TestDatabase;
  let redis: RedisServer;

  before(async () => {
    [database, redis] = await Promise.all([createTestDatabase(), startRedis({ appendonly: false })]);
    const owner = await watchAccount(database.dataSource);
    const [session] = await openSessions(database.dataSource, aSession(owner));
    if (session === undefined) throw new Error("no session");
    const strays = Array.from({ length: MANY }, () =>
      creditFor(session, { memo: textMemo(Buffer.from("x")) }),
    );
    await settle(database.dataSource, strays);
    await settle(database.dataSource, [
      creditFor(session, { memo: textMemo(Buffer.from(HOSTILE).subarray(0, 28)) }),
    ]);
    const letters = Array.from({ length: MANY }, () =>
      anUnreadable(owner.account, { why: `can't read ${HOSTILE}` }),
    );
    await settle(database.dataSource, letters);
    await aCharge(database.dataSource, owner.merchantId, { reference: HOSTILE });
    for (let i = 0; i < 200; i++) await aCharge(database.dataSource, owner.merchantId);
    await database.dataSource.query(
      `INSERT INTO recovery_findings (id, kind, subject, action, detail, evidence, before, after)
       SELECT gen_random_uuid(), 'charge_contradicted', i::text, 'needs_person', $1, '{}', '{}', '{}'
       FROM generate_series(1, ${MANY}) AS i`,
      [HOSTILE],
    );
    await database.dataSource.query(
      "UPDATE stream_cursors SET halted_because = $1, halted_at = now() WHERE account = $2",
      [HOSTILE, owner.account],
    );
  });
  after(async () => {
    await redis.stop();
    await database.close();
  });

  const start = (args: readonly string[]) =>
    spawn(process.execPath, [CLI, ...args], {
      env: roleEnvironment({ DATABASE_URL: database.url, REDIS_URL: redis.url }),
      stdio: ["ignore", "pipe", "pipe"],
    });

  /** Runs it, and hangs up once it has said its first words, or at once. */
  const hangUp = (when: "at once" | "after its first words", args: readonly string[]) =>
    new Promise<{ code: number | null; signal: string | null; stderr: string }>((resolve) => {
      const child = start(args);
      let stderr = "";
      child.stderr.on("data", (chunk) => {
        stderr += chunk;
      });
      if (when === "at once") child.stdout.destroy();
      else child.stdout.once("data", () => child.stdout.destroy());
      child.once("close", (code, signal) => resolve({ code, signal, stderr }));
    });

  const output = (args: readonly string[]) =>
    new Promise<{ stdout: string; stderr: string }>((resolve) => {
      const child = start(args);
      let [stdout, stderr] = ["", ""];
      child.stdout.setEncoding("utf8").on("data", (chunk) => {
        stdout += chunk;
      });
      child.stderr.setEncoding("utf8").on("data", (chunk) => {
        stderr += chunk;
      });
      child.once("close", () => resolve({ stdout, stderr }));
    });

  const LISTS: readonly [args: string[], code: number][] = [
    [["exceptions", "list"], 0],
    [["exceptions", "list", "--json"], 0],
    [["dead-letters", "list"], 0],
    [["dead-letters", "list", "--json"], 0],
    [["findings", "list", "--limit", "900"], 0],
    [["findings", "list", "--json", "--limit", "900"], 0],
    [["charges", "list", "--limit", "900"], 0],
    [["charges", "list", "--json", "--limit", "900"], 0],
    [["partitions", "list"], 0],
    [["streams", "reset"], 0],
    [["status"], 1],
    [["status", "--json"], 1],
    [["--help"], 0],
    [["exceptions", "--help"], 0],
    [["--version"], 0],
  ];
  for (const [args, code] of LISTS) {
    it(`paidonce ${args.join(" ")} | head: ends in peace, whenever its reader has seen enough`, async () => {
      const times = ["at once", "after its first words"] as const;
      const ends = await Promise.all(times.map((when) => hangUp(when, args)));
      const inPeace = { code, signal: null, stderr: "" };
      expect(ends).to.deep.equal([inPeace, inPeace]);
    });
  }

  it("whoever decides about several is not stopped by a reader that is gone", async () => {
    const rows: { operation_id: string; move_index: number }[] = await database.dataSource.query(
      "SELECT operation_id, move_index FROM payment_exceptions WHERE reason = 'unmatched' ORDER BY 1 LIMIT 5",
    );
    const keys = rows.map(({ operation_id, move_index }) => `${operation_id}-${move_index}`);
    const end = await hangUp("at once", ["exceptions", "dismiss", ...keys, "--note", "n"]);
    expect(end).to.deep.equal({ code: 0, signal: null, stderr: "" });
    const [{ n }] = await database.dataSource.query("SELECT count(*)::int AS n FROM exception_verdicts");
    expect(n).to.equal(5);
  });

  for (const [args] of LISTS.slice(0, 12)) {
    it(`paidonce ${args.join(" ")}: what a stranger wrote neither moves, colours, hides nor adds a line`, async () => {
      const { stdout } = await output(args);
      const lines = stdout.split("\n");
      expect(lines.filter((line) => UNSEEN.test(line))).to.deep.equal([]);
      expect(lines.filter((line) => line.startsWith("OPEN"))).to.deep.equal([]);
      if (args.includes("--json") && args[0] !== "status") {
        for (const line of lines) if (line !== "") JSON.parse(line);
      }
      if (args[0] === "status" && args.includes("--json")) JSON.parse(stdout);
    });
  }

  it("JSON says what was written, once it is read", async () => {
    const { stdout } = await output(["findings", "list", "--json", "--limit", "1"]);
    expect(JSON.parse(stdout).detail).to.equal(HOSTILE);
  });

  it("a note of an operator's, and an error, are held to the same", async () => {
    const [row] = await database.dataSource.query(
      "SELECT operation_id, move_index FROM payment_exceptions WHERE reason = 'unmatched' ORDER BY 1 DESC LIMIT 1",
    );
    const key = `${row.operation_id}-${row.move_index}`;
    await output(["exceptions", "dismiss", key, "--note", HOSTILE]);
    const { stdout } = await output(["exceptions", "list", "--all"]);
    expect(stdout).to.include(visibleText(HOSTILE));
    const wrong = await output(["exceptions", "dismiss", `\u001b[31m${HOSTILE}`, "--note", "n"]);
    expect(UNSEEN.test(wrong.stdout.replaceAll("\n", ""))).to.equal(false);
  });

  it("a log line shows it as escapes too, whoever reads it: a person or a machine", async () => {
    const logging = new URL("../../src/logging.js", import.meta.url).href;
    const script = `const { createLogger } = await import("${logging}");
      const [format, text] = process.argv.slice(1);
      createLogger({ LOG_LEVEL: "info", LOG_FORMAT: format }, "test").info({ path: text }, "a path " + text);`;
    for (const format of ["json", "pretty"]) {
      const { stdout } = await promisify(execFile)(process.execPath, [
        "--input-type=module",
        "--eval",
        script,
        format,
        HOSTILE,
      ]);
      const [line = "", ...others] = stdout.trimEnd().split("\n");
      expect(others, format).to.deep.equal([]);
      expect(UNSEEN.test(line), `${format} ${JSON.stringify(line)}`).to.equal(false);
      expect(line).to.include("a path pay\\u001b[2K");
      if (format === "json") expect(JSON.parse(line)).to.include({ path: HOSTILE, msg: `a path ${HOSTILE}` });
    }
  });
});
