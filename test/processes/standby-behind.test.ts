import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "chai";
import { PostgresPair } from "../support/backends/postgres-pair.js";
import { migratedDatabase } from "../support/database.js";
import { payAll } from "../support/ingest.js";
import { killWholePostgres } from "../support/kill.js";
import { CLI, endRoles, type RoleProcess, roleEnvironment, startRole } from "../support/role-process.js";
import { Spine } from "../support/spine.js";
import { drained, eventually } from "../support/stream.js";

const run = promisify(execFile);

const BEFORE = 60;
const LOST = 60;

describe("an asynchronous standby that was behind is promoted", () => {
  let pair: PostgresPair;
  let spine: Spine;

  beforeEach(async () => {
    pair = await PostgresPair.start({ synchronous: false });
    spine = await Spine.open("optional", {}, () => migratedDatabase(pair.url));
  });
  afterEach(async () => {
    await endRoles();
    await spine[Symbol.asyncDispose]();
    await pair.stop();
  });

  const environment = () => ({
    DATABASE_URL: pair.url,
    ...spine.server.env,
    HORIZON_URL: spine.stage.sandbox.url,
    NETWORK_PASSPHRASE: spine.stage.network.passphrase,
  });
  const startRoles = () =>
    Promise.all([startRole("ingest", environment()), startRole("consume", environment())]);
  const stopRoles = async (roles: readonly RoleProcess[]) => {
    for (const role of roles) role.send("SIGTERM");
    await Promise.all(roles.map((role) => role.ended));
  };
  const reset = async (...args: string[]): Promise<{ code: number; output: string }> => {
    try {
      const { stdout } = await run(process.execPath, [CLI, "streams", "reset", ...args], {
        env: roleEnvironment(environment()),
      });
      return { code: 0, output: stdout };
    } catch (error) {
      const { code, stderr } = error as { code: number; stderr: string };
      return { code, output: stderr };
    }
  };

  it("G1 to G3: what it lost is fetched and settled again, once its streams are deleted", async () => {
    const all = await spine.sessions(BEFORE + LOST);
    const roles = await startRoles();
    payAll(spine.stage, spine.payer, all.slice(0, BEFORE));
    await spine.settledAll(BEFORE);
    await drained(spine.redis, spine.owner.account);
    // It has everything up to here, in the order in which it happened.
    await pair.onPrimary("CREATE TABLE seen ()");
    const seen = "SELECT FROM pg_class WHERE relname = 'seen'";
    await eventually(async () => (await pair.onStandby(seen)).length > 0);
    await pair.standby.kill();
    payAll(spine.stage, spine.payer, all.slice(BEFORE));
    await spine.settledAll(BEFORE + LOST);
    // The streams have forgotten them: the database said that it has them.
    await drained(spine.redis, spine.owner.account);
    const refused = await reset("--yes");
    expect(refused).to.deep.include({ code: 1 });
    expect(refused.output).to.include("stop every role first");

    await stopRoles(roles);
    await killWholePostgres(pair);
    await pair.standby.restart();
    await pair.promote();
    const { dataSource } = spine.database;
    await eventually(() =>
      dataSource.query("SELECT 1").then(
        () => true,
        () => false,
      ),
    );
    const [{ n }] = await dataSource.query("SELECT count(*)::int AS n FROM credits");
    expect(n, "else this test shows nothing").to.equal(BEFORE);

    expect((await reset()).output).to.include("nothing was deleted");
    expect(await spine.redis.keys("*:credits")).to.have.length(1);
    expect(await reset("--yes")).to.deep.include({ code: 0 });
    expect(await spine.redis.keys("*:credits")).to.deep.equal([]);

    await startRoles();
    await spine.settledAll(BEFORE + LOST);
    await drained(spine.redis, spine.owner.account);
    await spine.expectBooksToBalance(BEFORE + LOST);
  });
});
