import { existsSync } from "node:fs";
import { expect } from "chai";
import pg from "pg";
import { ProgramMissingError } from "../../stage/machine/errors.js";
import { type PostgresServer, startPostgres } from "../../stage/machine/postgres.js";
import { PostgresPair } from "../support/backends/postgres-pair.js";

/** Data on a disk of a machine that nobody switches off here. */
const FAST = { fsync: "off" };

/** Where Debian puts the servers of its packages; not every machine has one. */
const DEBIAN = "/usr/lib/postgresql/15/bin";

for (const [name, binaries] of [
  ["that came with npm ci", undefined],
  ["of Debian", DEBIAN],
] as const) {
  describe(`a standby of the Postgres ${name}`, () => {
    const own = { settings: FAST, ...(binaries !== undefined && { binaries }) };

    before(function () {
      if (binaries !== undefined && !existsSync(binaries)) this.skip();
    });

    it("is a copy made while others write, follows, takes no writes, and inherits no ALTER SYSTEM", async () => {
      await using primary = await startPostgres(own);
      await ask(primary, "CREATE TABLE kept (value int)");
      await ask(primary, "ALTER SYSTEM SET default_transaction_read_only = on");
      let isCopied = false;
      const writing = (async () => {
        const values: number[] = [];
        while (!isCopied) {
          values.push(values.length);
          await ask(primary, `INSERT INTO kept VALUES (${values.length})`);
        }
        return values.length;
      })();
      await using standby = await startPostgres({ ...own, standbyOf: primary }).finally(() => {
        isCopied = true;
      });
      const written = await writing;
      await untilEqual(standby, "SELECT count(*)::int AS n FROM kept", written);
      const refused = await ask(standby, "INSERT INTO kept VALUES (0)").catch((error: unknown) => error);
      expect(String(refused)).to.include("read-only transaction");
      await ask(standby, "SELECT pg_promote()");
      await ask(standby, "INSERT INTO kept VALUES (0)");
      await untilEqual(standby, "SELECT count(*)::int AS n FROM kept", written + 1);
    });

    it("has what COMMIT has answered, though it has not shown it yet, and takes over with it, again and again", async () => {
      await using pair = await PostgresPair.start(own);
      await pair.onPrimary("CREATE TABLE kept (value int)");
      for (const round of [1, 2]) {
        await ask(pair.standby, "SELECT pg_wal_replay_pause()");
        await pair.onPrimary(`INSERT INTO kept VALUES (${round})`);
        expect(await ask(pair.standby, `SELECT FROM kept WHERE value = ${round}`)).to.deep.equal([]);
        const dir = pair.dir;
        await pair.failOver();
        expect(existsSync(dir), "the old primary can't come back").to.equal(false);
        expect(await ask(pair, "SELECT max(value) FROM kept")).to.deep.equal([{ max: round }]);
        await pair.paired();
      }
    });
  });
}

describe("a folder of programs", () => {
  it("without a Postgres in it is an error that says so", async () => {
    const error = await startPostgres({ binaries: "/nowhere" }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ProgramMissingError);
    expect(String(error)).to.include("/nowhere");
  });
});

async function untilEqual(server: Pick<PostgresServer, "url">, sql: string, n: number): Promise<void> {
  // It shows what it got a moment later than it got it.
  while ((await ask(server, sql))[0]?.n !== n) await new Promise(setImmediate);
}

async function ask(server: Pick<PostgresServer, "url">, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(server.url);
  client.on("error", () => undefined);
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
