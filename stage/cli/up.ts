import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { type Config, ConfigError, readConfig, redactUrl } from "../../src/config.js";
import { createDataSource } from "../../src/entities/data-source.js";
import { migrate } from "../../src/entities/migrate.js";
import { freePort, portNear } from "../machine/free-port.js";
import { startPostgres } from "../machine/postgres.js";
import { startRedis } from "../machine/redis.js";
import { SANDBOX_PASSPHRASE } from "../sandbox/network.js";
import { paceArguments, paceOf } from "../sandbox/pace.js";
import { claimDataFolder, DATA_FOLDER, SERVERS, writeAddresses } from "../up/data-folder.js";
import { demoKeys } from "../up/demo-keys.js";
import { seedDemoMerchant } from "../up/demo-merchant.js";
import { describeDemo } from "../up/describe-demo.js";
import { keepPorts, portsOfLastStart } from "../up/kept-ports.js";
import { Supervisor } from "../up/supervisor.js";

const PROGRAM = fileURLToPath(new URL("../cli.js", import.meta.url));

/** `up` closes ledgers faster than the network does, so that a newcomer need not wait. */
const LEDGER_MS = 1_000;

const CONSUMERS = 2;

/**
 * Known to everybody: the Stripe that takes them is on this machine, and takes no money. Whatever the shell says: a real
 * key has no business in a demo.
 */
const STRIPE_DEMO = { STRIPE_API_KEY: "sk_test_paidonce_demo", STRIPE_WEBHOOK_SECRET: "whsec_paidonce_demo" };

/** Whatever the shell says: a demo with a known merchant is nobody else's business. */
const DEMO_NETWORK = {
  HORIZON_REQUESTS_PER_HOUR: String(paceOf(LEDGER_MS).requestsPerHour),
  NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
  HOST: "127.0.0.1",
};

/** At the first start, unless PORT says another or somebody has it. */
const API_PORT = 8080;

/** Where the demo's servers will be is not known yet when the variables are checked. */
const SOMEWHERE = {
  DATABASE_URL: "postgres://127.0.0.1/paidonce",
  REDIS_URL: "redis://127.0.0.1",
  HORIZON_URL: "http://127.0.0.1",
};

type Environment = Record<string, string>;

/** Ends everything that was started, in reverse order. */
type Ends = (() => Promise<unknown>)[];

export function addUpCommand(program: Command): void {
  program
    .command("up")
    .description("run the whole service: on this machine with a sandbox network, or on your servers")
    .addHelpText(
      "after",
      `
With ${SERVERS.join(", ")} set, the roles run on those and nothing embedded starts.
With none of them set, everything runs on this machine and keeps its data in ${DATA_FOLDER}/.`,
    )
    .action(async () => {
      const given = SERVERS.filter((name) => process.env[name]);
      if (given.length > 0 && given.length < SERVERS.length) {
        const missing = SERVERS.filter((name) => !given.includes(name));
        throw new ConfigError(
          missing.map((name) => `${name}: got nothing, wants a value, since ${given.join(" and ")} is set`),
        );
      }
      await up(given.length === 0);
    });
}

async function up(embedded: boolean): Promise<void> {
  const ends: Ends = [];
  const stopAsked = new Promise<string>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => resolve(signal));
  });
  let isStopping = false;
  const stop = async () => {
    isStopping = true;
    for (const end of ends.reverse()) await end().catch((error: unknown) => say(`could not stop: ${error}`));
  };
  try {
    const starting = embedded ? startEmbedded(ends) : startOnServers(ends);
    // A Ctrl-C while it starts: what is half started is ended, and its complaints are no news.
    starting.catch(() => undefined);
    const outcome = await Promise.race([starting, stopAsked]);
    if (outcome === undefined) await stopAsked;
    say("stopping (everything is kept; start again to go on)");
  } finally {
    if (!isStopping) await stop();
  }
  say("stopped");
}

async function startOnServers(ends: Ends): Promise<void> {
  const config = readConfig(process.env);
  say(
    `Postgres ${redactUrl(config.DATABASE_URL)}, Redis ${config.REDIS_URL.map(redactUrl).join(", ")}, Horizon ${config.HORIZON_URL}`,
  );
  await migrate(config.DATABASE_URL);
  const supervisor = supervise(ends);
  await startRoles(supervisor, roleEnvironment({}));
  say(
    `up: the API is on http://${config.HOST}:${config.PORT}, operators look at /ops there. Watch an account: paidonce watch G…   Ctrl-C stops.`,
  );
  // Never printed: on real servers what a terminal shows is kept in logs.
  say(
    config.ADMIN_KEY === undefined
      ? "ADMIN_KEY is not set: nobody can create merchants and their API keys through the API"
      : "merchants and their API keys are created with the key in ADMIN_KEY",
  );
}

async function startEmbedded(ends: Ends): Promise<void> {
  const given = readGiven();
  const folder = resolve(DATA_FOLDER);
  const claim = await claimDataFolder(folder);
  ends.push(() => claim.release());
  say(`starting Postgres, Redis, a sandbox network and a sandbox Stripe; data in ${DATA_FOLDER}/`);
  await Promise.all(
    ["postgres", "redis", "sandbox"].map((name) => mkdir(join(folder, name), { recursive: true })),
  );
  const asked = given.PORT === 0 || !process.env.PORT ? null : given.PORT;
  const before = await portsOfLastStart(folder, asked === null ? [] : [asked]);
  const [postgres, redis] = await Promise.all([
    startPostgres({ dir: join(folder, "postgres"), ...(before.postgres && { port: before.postgres }) }),
    startRedis({
      dir: join(folder, "redis"),
      ...(before.redis && { port: before.redis }),
      appendonly: true,
    }),
  ]);
  ends.push(
    () => postgres.stop(),
    () => redis.stop(),
  );
  const ports = {
    postgres: postgres.port,
    redis: redis.port,
    sandbox: before.sandbox ?? (await freePort()),
    stripe: before.stripe ?? (await freePort()),
    api: asked ?? before.api ?? (await portNear(API_PORT)),
  };
  const { api: apiPort, ...others } = ports;
  // A port that was asked for is for this start alone.
  await keepPorts(folder, asked === null ? ports : others);
  const addresses: Environment = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    HORIZON_URL: `http://127.0.0.1:${ports.sandbox}`,
    PORT: String(apiPort),
    ...DEMO_NETWORK,
  };
  const env = roleEnvironment({
    ...addresses,
    ...STRIPE_DEMO,
    STRIPE_API_URL: `http://127.0.0.1:${ports.stripe}`,
    // The newcomer's own receiver is on this machine.
    WEBHOOK_ALLOW_PRIVATE: process.env.WEBHOOK_ALLOW_PRIVATE || "true",
  });
  const migrations = await migrate(postgres.url);
  if (migrations.length > 0) say(`database migrated (${migrations.length} new)`);
  const supervisor = supervise(ends);
  await supervisor.start({
    title: "sandbox",
    args: [
      "sandbox",
      "--port",
      String(ports.sandbox),
      ...paceArguments(LEDGER_MS),
      "--journal",
      join(folder, "sandbox", "ledgers.jsonl"),
    ],
    env,
  });
  await supervisor.start({
    title: "stripe-sandbox",
    args: [
      "stripe-sandbox",
      ...["--port", String(ports.stripe)],
      ...["--journal", join(folder, "sandbox", "payment-intents.jsonl")],
      ...["--webhook-url", `http://127.0.0.1:${apiPort}/v1/providers/stripe/webhook`],
      ...["--webhook-secret", STRIPE_DEMO.STRIPE_WEBHOOK_SECRET],
    ],
    env,
  });
  const { account, keys } = await seed(folder, addresses);
  await writeAddresses(folder, addresses);
  const adminKey = given.ADMIN_KEY ?? keys.admin;
  await startRoles(supervisor, { ...env, ADMIN_KEY: adminKey });
  await supervisor.start({ title: "customers", args: ["customers"], env });
  say(
    describeDemo({
      account,
      apiKey: keys.merchant,
      adminKey,
      api: `http://127.0.0.1:${apiPort}`,
      network: `${addresses.HORIZON_URL} (a ledger every ${LEDGER_MS / 1000} s)`,
      stripe: `http://127.0.0.1:${ports.stripe}`,
      consumers: CONSUMERS,
    }),
  );
}

/**
 * The variables that were given, checked before anything starts; says which of them the demo does not use.
 * @throws ConfigError
 */
function readGiven(): Config {
  const own: Environment = { ...STRIPE_DEMO, STRIPE_API_URL: "", ...DEMO_NETWORK };
  const unused = Object.keys(own).filter((name) => process.env[name] && process.env[name] !== own[name]);
  if (unused.length > 0) say(`not used, since the sandbox has its own: ${unused.join(", ")}`);
  return readConfig({ ...process.env, ...SOMEWHERE, ...own });
}

function supervise(ends: Ends): Supervisor {
  const supervisor = new Supervisor(PROGRAM, say);
  ends.push(() => supervisor.stop());
  return supervisor;
}

async function startRoles(supervisor: Supervisor, env: NodeJS.ProcessEnv): Promise<void> {
  const consumers = Array.from({ length: CONSUMERS }, (_, i) => ({
    title: `consume ${i + 1}`,
    args: ["consume"],
  }));
  const others = ["ingest", "work", "api"].map((command) => ({ title: command, args: [command] }));
  await Promise.all([...consumers, ...others].map((role) => supervisor.start({ ...role, env })));
}

async function seed(folder: string, { DATABASE_URL = "", HORIZON_URL = "" }: Environment) {
  say("seeding a merchant, its account and its customers");
  const dataSource = createDataSource({ url: DATABASE_URL, applicationName: "paidonce-seed", poolSize: 2 });
  await dataSource.initialize();
  try {
    const { id, account } = await seedDemoMerchant(dataSource, HORIZON_URL, SANDBOX_PASSPHRASE);
    return { account, keys: await demoKeys(folder, dataSource, id, SANDBOX_PASSPHRASE) };
  } finally {
    await dataSource.destroy();
  }
}

function roleEnvironment(addresses: Environment): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ...addresses,
    // The roles write to pipes; what they print ends in this terminal.
    LOG_FORMAT: process.env.LOG_FORMAT || "pretty",
    // Or nobody could look at /ops, which has no login here.
    NODE_ENV: process.env.NODE_ENV || "development",
    ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
