import { execFileSync } from "node:child_process";
import { expect } from "chai";
import pg from "pg";
import { environment, readConfig } from "../../src/config.js";
import { type PostgresServer, startPostgres } from "../../stage/machine/postgres.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { CLI, endRoles, startRole } from "../support/role-process.js";
import {
  COMPOSE_FILE,
  environmentOf,
  ROLES,
  readEnvFile,
  readRootFile,
  SERVICES,
  type Variables,
} from "./compose.js";

const VARIABLES = Object.keys(environment.shape);

/** What the compose file decides, whatever stands in `.env`. */
const DECIDED: Readonly<Record<string, readonly string[]>> = {
  DATABASE_URL: ["migrate", "api", "ingest", "consume", "worker"],
  REDIS_URL: ["migrate", "api", "ingest", "consume", "worker"],
  HOST: ["api"],
  PORT: ["api"],
};

/** Secrets, with the roles that use them. */
const SECRETS: Readonly<Record<string, readonly string[]>> = {
  ADMIN_KEY: ["api"],
  OPS_PASSWORD_HASH: ["api"],
  SEP7_SIGNING_SECRET: ["api"],
  SEP7_ORIGIN_DOMAIN: ["api"],
  STRIPE_API_KEY: ["api", "worker"],
  STRIPE_WEBHOOK_SECRET: ["api", "worker"],
  WEBHOOK_SECRETS_KEY: ["api", "worker"],
  WEBHOOK_SECRETS_KEY_PREVIOUS: ["api", "worker"],
};

const PASSWORDS = { POSTGRES_PASSWORD: "database0secret", REDIS_PASSWORD: "redis0secret" };

describe("docker-compose.yml", () => {
  it("every variable of the configuration that stands in .env reaches every role, a secret those that use it", () => {
    const file = { ...PASSWORDS, ...Object.fromEntries(VARIABLES.map((name) => [name, `the ${name}`])) };
    expect(ROLES.map(([role]) => role)).to.have.members(["migrate", "api", "ingest", "consume", "worker"]);
    for (const [role, service] of ROLES) {
      const given = environmentOf(service, file);
      for (const name of VARIABLES) {
        if (DECIDED[name]?.includes(role)) continue;
        const reaches = SECRETS[name]?.includes(role) ?? true;
        expect(given[name], `${name} of ${role}`).to.equal(reaches ? `the ${name}` : "");
      }
    }
  });

  it("a role is given nothing else, and no password but in the URLs that it uses", () => {
    for (const [role, service] of ROLES) {
      const given = environmentOf(service, {
        ...PASSWORDS,
        HORIZON_URL: "http://h",
        NETWORK_PASSPHRASE: "n",
      });
      for (const [name, value] of Object.entries(given)) {
        if (name in PASSWORDS) expect(value, `${name} of ${role}`).to.equal("");
        else expect(VARIABLES, role).to.include(name);
      }
      expect(given.DATABASE_URL).to.equal("postgres://paidonce:database0secret@postgres:5432/paidonce");
      expect(given.REDIS_URL).to.equal("redis://:redis0secret@redis:6379");
    }
  });

  it("each role is a command of the program", () => {
    const help = execFileSync(process.execPath, [CLI, "--help"], { encoding: "utf8" });
    for (const [role, { command }] of ROLES) {
      expect(command, role).to.have.length(1);
      expect(help).to.match(new RegExp(`^ {2}${command?.[0]} `, "m"));
    }
  });

  it(".env.example names only what is read, and with its passwords filled in every role accepts it", () => {
    const example = readRootFile(".env.example");
    const all = example.replace(/^#(?=[A-Z_]+=)/gm, "");
    const names = Object.keys(readEnvFile(all));
    expect(names.length).to.be.above(Object.keys(readEnvFile(example)).length);
    for (const name of names)
      expect(VARIABLES.includes(name) || COMPOSE_FILE.includes(`\${${name}:`), name).to.equal(true);
    for (const text of [example, all]) {
      const file: Variables = { ...readEnvFile(text), ...PASSWORDS };
      for (const [, service] of ROLES) readConfig(environmentOf(service, file));
    }
    expect(() => environmentOf(SERVICES.api ?? {}, readEnvFile(example))).to.throw(
      "POSTGRES_PASSWORD: set it",
    );
  });

  describe("its database", () => {
    let postgres: PostgresServer;
    let redis: RedisServer;

    before(async function () {
      this.timeout(120_000);
      [postgres, redis] = await Promise.all([startPostgres(), startRedis({ appendonly: false })]);
    });
    after(async function () {
      this.timeout(60_000);
      await endRoles();
      await Promise.all([postgres?.stop(), redis?.stop()]);
    });

    it("has a user who is no superuser and can run every role, and a superuser who can't log in by password", async function () {
      this.timeout(120_000);
      expect(SERVICES.postgres?.volumes).to.include(
        "./deploy/compose/database.sql:/docker-entrypoint-initdb.d/database.sql:ro",
      );
      const superuser = await asTheImageStarts(postgres.url);
      await runAsPsql(superuser, readRootFile("deploy/compose/database.sql"), PASSWORDS);

      // As the roles are given it, on this machine.
      const [[, role]] = ROLES as [(typeof ROLES)[number]];
      const given = environmentOf(role, { ...PASSWORDS, HORIZON_URL: "http://h", NETWORK_PASSPHRASE: "n" });
      const url = new URL(given.DATABASE_URL ?? "");
      url.hostname = "127.0.0.1";
      url.port = String(postgres.port);
      const env = { DATABASE_URL: url.href, REDIS_URL: redis.url };

      execFileSync(process.execPath, [CLI, "migrate"], {
        env: { ...env, HORIZON_URL: "http://127.0.0.1:9", LOG_LEVEL: "error" },
      });
      for (const command of ["work", "consume", "ingest", "api"] as const) await startRole(command, env);
      await endRoles();

      const [user, ...others] = await ask(url.href, "SELECT * FROM pg_roles WHERE rolname = current_user");
      expect(others).to.deep.equal([]);
      expect(user).to.include({
        rolname: "paidonce",
        rolsuper: false,
        rolcreatedb: false,
        rolcreaterole: false,
        rolreplication: false,
        rolbypassrls: false,
      });
      const refused = await ask(superuser, "SELECT 1").catch((error: { code?: string }) => error.code);
      expect(refused, "invalid_password").to.equal("28P01");
      const stranger = new URL(url);
      stranger.pathname = "/postgres";
      await ask(stranger.href, "SELECT 1");
      const forbidden = await ask(stranger.href, "CREATE DATABASE other").catch(
        (error: { code?: string }) => error.code,
      );
      expect(forbidden, "insufficient_privilege").to.equal("42501");
    });
  });
});

/**
 * Makes of one of our servers what the image makes of an empty volume: a superuser `postgres`, and nothing of paidonce's.
 * @returns the superuser's URL
 */
async function asTheImageStarts(ours: string): Promise<string> {
  await ask(ours, `CREATE ROLE postgres SUPERUSER LOGIN PASSWORD '${PASSWORDS.POSTGRES_PASSWORD}'`);
  const url = new URL(ours);
  url.username = "postgres";
  url.password = PASSWORDS.POSTGRES_PASSWORD;
  url.pathname = "/postgres";
  await ask(url.href, "DROP DATABASE paidonce WITH (FORCE)");
  await ask(url.href, "ALTER ROLE paidonce RENAME TO machine");
  return url.href;
}

/** Runs a script as psql does: statement by statement in one session, with `\getenv` and `:'name'`. */
async function runAsPsql(url: string, script: string, env: Variables): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  const values = new Map<string, string>();
  try {
    let statement = "";
    for (const line of script.split("\n").filter((text) => text !== "" && !text.startsWith("--"))) {
      if (line.startsWith("\\")) {
        const [, name = "", variable = ""] = /^\\getenv (\w+) (\w+)$/.exec(line) ?? [];
        if (name === "") throw new Error(`not known here: ${line}`);
        values.set(name, env[variable] ?? "");
        continue;
      }
      statement += `${line}\n`;
      if (!line.endsWith(";")) continue;
      await client.query(
        statement.replace(/:'(\w+)'/g, (_, name) => pg.escapeLiteral(values.get(name) ?? "")),
      );
      statement = "";
    }
    expect(statement, "every statement ends").to.equal("");
  } finally {
    await client.end();
  }
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
