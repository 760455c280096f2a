import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { readFindings } from "../../src/findings/findings-log.js";
import { sharedPostgres } from "../support/database.js";
import { paymentOf } from "../support/ingest.js";
import { CLI, endRoles, type RoleEnvironment, roleEnvironment, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { eventually } from "../support/stream.js";

const run = promisify(execFile);

/** What the command line answers. */
type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function call(env: RoleEnvironment, args: readonly string[]): Promise<Answer> {
  try {
    return { code: 0, ...(await run(process.execPath, [CLI, ...args], { env: roleEnvironment(env) })) };
  } catch (error) {
    return error as Answer;
  }
}

describe("paidonce recover and findings, before they do anything", () => {
  /** Nobody listens there. */
  const environment = {
    DATABASE_URL: "postgres://somebody:secret@127.0.0.1:9/books",
    REDIS_URL: "redis://127.0.0.1:9",
  };

  it("Postgres away: exit code 1 and one line that says what to do, instead of a silent wait", async () => {
    const answers = await Promise.all([
      call(environment, ["recover"]),
      call(environment, ["findings", "--open"]),
    ]);
    for (const { code, stdout, stderr } of answers) {
      expect(code).to.equal(1);
      expect(stdout).to.equal("");
      expect(stderr).to.match(
        /^paidonce: Postgres can't be reached at postgres:\/\/127\.0\.0\.1:9\/books \(.*ECONNREFUSED.*\): bring it back, .*\n$/,
      );
    }
  });

  it("a database that is not migrated is refused, with what to do", async () => {
    const { url } = await sharedPostgres();
    const { code, stderr } = await call({ ...environment, DATABASE_URL: url }, ["findings"]);
    expect(code).to.equal(1);
    expect(stderr).to.equal(
      "paidonce: the database is older than this program: run `paidonce migrate` first\n",
    );
  });

  it("a finding is closed by its id, and with a note: anything else is wrong usage", async () => {
    const id = "0198f6a0-0000-7000-8000-000000000000";
    const [badId, noNote] = await Promise.all([
      call(environment, ["findings", "close", "-".repeat(36).replace("-", "0"), "--note", "seen"]),
      call(environment, ["findings", "close", id, "--note", " "]),
    ]);
    expect([badId.code, noNote.code]).to.deep.equal([2, 2]);
    expect(badId.stderr).to.include("It must be a finding's id");
    expect(noNote.stderr).to.include("It must say what was done");
  });
});

describe("paidonce recover", () => {
  let spine: Spine;
  let lost: CheckoutSession;

  /** A session that is paid without a payment, and whose credit is on the network. */
  beforeEach(async () => {
    spine = await Spine.open("optional");
    const [session] = await spine.sessions(1);
    if (session === undefined) throw new Error("no session");
    lost = session;
    const { operation, memo } = paymentOf(lost);
    spine.stage.apply(spine.stage.build(spine.payer, [operation], { memo }));
    await flip(lost);
  });
  afterEach(async () => {
    await endRoles();
    await spine[Symbol.asyncDispose]();
  });

  /** Long enough ago that a server that does not say how far it is can't lag that much. */
  const flip = ({ id }: CheckoutSession) =>
    spine.database.dataSource.query(
      "UPDATE checkout_sessions SET status = 'paid', paid_at = now() - interval '10 minutes' WHERE id = $1",
      [id],
    );
  const environment = () => ({
    DATABASE_URL: spine.database.url,
    ...spine.server.env,
    HORIZON_URL: spine.stage.sandbox.url,
    NETWORK_PASSPHRASE: spine.stage.network.passphrase,
  });
  const cli = (...args: string[]) => call(environment(), args);

  it("says what it would do, does it, and says what it did", async () => {
    const dry = await cli("recover", "--dry-run");
    expect(dry.code).to.equal(0);
    expect(dry.stdout).to.match(/^would {2}paid_without_payment: payment supplied\n/);
    expect(dry.stdout).to.include("nothing was changed");
    await spine.expectBooksToBalance(0).then(
      () => expect.fail("it was changed"),
      () => undefined,
    );
    const done = await cli("recover");
    expect(done.code).to.equal(0);
    expect(done.stdout).to.include(`Session ${lost.id} was paid without a payment`);
    await spine.expectBooksToBalance(1);
    expect((await cli("findings")).stdout).to.include("payment supplied");
  });

  it("exit code 1 while a person is needed, who sees it, deals with it and closes it", async () => {
    const [invented] = await spine.sessions(1);
    if (invented === undefined) throw new Error("no session");
    await flip(invented);
    const { code, stdout } = await cli("recover", "--json");
    expect(code).to.equal(1);
    const kinds = JSON.parse(stdout).findings.map(({ action }: { action: string }) => action);
    expect(kinds).to.have.members(["payment_supplied", "needs_person"]);
    const listed = (await cli("findings", "--open", "--json")).stdout.trim().split("\n");
    expect(listed).to.have.length(1);
    const { id, subject } = JSON.parse(listed[0] ?? "");
    expect(subject).to.equal(invented.id);
    expect((await cli("findings", "close", id, "--note", "a test of ours")).code).to.equal(0);
    expect(await readFindings(spine.database.dataSource.manager, { open: true, limit: 1 })).to.deep.equal([]);
  });

  it("exit code 1 when Horizon can't be asked: nothing is decided", async () => {
    spine.stage.sandbox.faults.add({ kind: "status", status: 503 });
    const { code, stdout } = await cli("recover");
    expect(code).to.equal(1);
    expect(stdout).to.include("the check of payments could not be made");
  });

  it("paidonce work does the same on schedule, and counts what it found", async () => {
    const role = await startRole("work", {
      ...environment(),
      RECOVERY_EVERY_SECONDS: "1",
      METRICS_PORT: "0",
      LOG_LEVEL: "info",
    });
    await eventually(
      async () => (await spine.database.dataSource.query("SELECT FROM payments")).length === 1,
    );
    await spine.expectBooksToBalance(1);
    const [, port] = /"port":(\d+)/.exec(role.output()) ?? [];
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).to.include(
      'paidonce_recovery_findings_total{kind="paid_without_payment",action="payment_supplied"} 1',
    );
  });
});
