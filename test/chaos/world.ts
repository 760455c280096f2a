import { randomBytes } from "node:crypto";
import { freePort } from "../../stage/machine/free-port.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { paceArguments, paceOf } from "../../stage/sandbox/pace.js";
import type { PostgresKind } from "../support/backends/postgres.js";
import { RedisCluster } from "../support/backends/redis-cluster.js";
import { Dice } from "./dice.js";
import { Ear } from "./ear.js";
import type { Ends } from "./ends.js";
import { Fleet, Member, type MemberSpec, type RoleName } from "./fleet.js";
import { DriverLedger } from "./ledger.js";
import { Links } from "./links.js";
import { Payer } from "./payer.js";
import { type ChaosRedis, environmentOf, type RedisKind } from "./redis-side.js";
import { PRESENT, type Release } from "./release.js";
import { SandboxClient } from "./sandbox-client.js";
import type { Scene } from "./scene.js";
import { Servers } from "./servers.js";
import { openStreet } from "./shop.js";

type Roles = readonly (readonly [RoleName, number])[];

/** How many processes of each role. */
const ROLES: Roles = [
  ["ingest", 2],
  ["consume", 4],
  ["work", 2],
  ["api", 1],
];

/** The rest have `optional`, the default. Side by side with one that takes no locks, the others' are worth nothing. */
const LOCKS_OF: Readonly<Record<string, string>> = { "consume 3": "required", "consume 4": "off" };

const ACCOUNTS = 3;
export const LEDGER_MS = 1_000;

/** Impatient, so that each fault is over in seconds; every value is one that an operator could choose. */
export const IMPATIENT: Readonly<Record<string, string>> = {
  CLAIM_IDLE_MS: "2000",
  LOCK_LEASE_MS: "3000",
  INGEST_POLL_MS: "2000",
  // Faults every few seconds hit the same entry more often than the five times that the default allows, and an
  // entry in the dead letters waits for a person.
  MAX_DELIVERIES: "100",
  RATE_LIMIT_PER_MERCHANT: "1000000",
  RATE_LIMIT_PER_ADDRESS: "1000000",
  WEBHOOK_ALLOW_PRIVATE: "true",
  LOG_LEVEL: "warn",
  LOG_FORMAT: "json",
  // Faults of a stream name an account's own; on a quiet network three accounts would be read together.
  NETWORK_MODE: "off",
  RECOVERY_EVERY_SECONDS: "5",
  RECOVERY_AFTER_SECONDS: "5",
};

/** What a run stands on; one server of each by default. */
export type ServerKinds = { readonly postgres?: PostgresKind; readonly redis?: RedisKind };

/** Everything that a run consists of. */
export type World = Scene & {
  readonly servers: Servers;
  readonly links: Links;
  readonly fleet: Fleet;
  readonly payer: Payer;
  readonly apiUrl: string;
  /** What the driver itself creates sessions with. */
  readonly release: Release;
};

/** Who is on stage at the beginning. */
export type Cast = {
  readonly release?: Release;
  readonly roles?: Roles;
  /** Over the environment of every role. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of the sandbox, over the usual ones. */
  readonly network?: readonly string[];
};

/**
 * Starts everything. What is started is in `ends` at once, so that a failure or a Ctrl-C in the middle leaves nothing.
 * @param seed for the receivers' manners
 */
export async function openWorld(
  seed: number,
  ends: Ends,
  kinds: ServerKinds = {},
  { release = PRESENT, roles = ROLES, env = {}, network: more = [] }: Cast = {},
): Promise<World> {
  const servers = await Servers.start(kinds.postgres, kinds.redis);
  ends.push(() => servers[Symbol.asyncDispose]());
  const port = await freePort();
  const network = new Member({
    title: "sandbox",
    role: "sandbox",
    args: ["--port", String(port), ...paceArguments(LEDGER_MS), ...more],
    env: { LOG_LEVEL: "warn", LOG_FORMAT: "json" },
  });
  ends.push(() => network.end());
  await Promise.all([network.start(), release.migrate(servers.postgres.url)]);
  const sandbox = new SandboxClient(`http://127.0.0.1:${port}`);
  ends.push(() => sandbox.stop());
  const dataSource = release.createDataSource({
    url: servers.postgres.url,
    applicationName: "chaos",
    poolSize: 10,
    statementTimeoutMs: 60_000,
  });
  await dataSource.initialize();
  ends.push(() => dataSource.destroy());
  const ear = await Ear.open(dataSource, new Dice(seed));
  ends.push(() => ear.stop());
  const endpointOf = (merchantId: string) => `${ear.url}/${merchantId}`;
  const street = await openStreet(dataSource, sandbox, ACCOUNTS, endpointOf, release);
  const links = await Links.open(
    { postgres: servers.postgres.url, redis: someUrlOf(servers.redis), horizon: sandbox.url },
    servers.locks.map(({ url }) => url),
  );
  ends.push(async () => links.stop());
  const apiPort = await freePort();
  const fleet = new Fleet(await specs({ roles, env }, links, apiPort, servers.redis), release.cli);
  ends.push(() => fleet.end());
  await fleet.start();
  const ledger = new DriverLedger();
  const payer = new Payer(sandbox.url, SANDBOX_PASSPHRASE, street.customers, ledger);
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const { postgres, redis } = servers;
  const horizonUrl = links.horizon.url;
  const scene: Scene = {
    databaseUrl: postgres.url,
    dataSource,
    redis,
    sandbox,
    horizonUrl,
    street,
    ledger,
    ear,
  };
  return { ...scene, servers, links, fleet, payer, apiUrl, release };
}

async function specs(
  { roles, env: over }: Required<Pick<Cast, "roles" | "env">>,
  links: Links,
  apiPort: number,
  redis: ChaosRedis,
): Promise<MemberSpec[]> {
  const adminKey = randomBytes(32).toString("hex");
  const titles = roles.flatMap(([role, count]) =>
    Array.from({ length: count }, (_, i) => ({ role, title: `${role} ${i + 1}` })),
  );
  return Promise.all(
    titles.map(async ({ role, title }) => {
      const own = await links.join(title);
      const env = {
        ...IMPATIENT,
        ...over,
        DATABASE_URL: own.postgres.url,
        ...redisEnvironment(redis, own.redis.url, links.locks),
        HORIZON_URL: own.horizon.url,
        HORIZON_REQUESTS_PER_HOUR: String(paceOf(LEDGER_MS).requestsPerHour),
        NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
        ADMIN_KEY: adminKey,
        PORT: String(apiPort),
        ...(role === "consume" ? { METRICS_PORT: String(await freePort()) } : {}),
        ...(LOCKS_OF[title] && { LOCKS: LOCKS_OF[title] }),
      };
      return { title, role, env };
    }),
  );
}

/** Of a cluster every node, straight: its clients go where it sends them. Its locks are in it too, in their accounts' slots. */
function redisEnvironment(
  redis: ChaosRedis,
  linkUrl: string,
  locks: readonly { readonly url: string }[],
): Record<string, string> {
  if (redis instanceof RedisCluster) return environmentOf(redis);
  return { REDIS_URL: linkUrl, LOCK_REDIS_URLS: locks.map(({ url }) => url).join() };
}

/** Links need something to lead to, used or not. */
function someUrlOf(redis: ChaosRedis): string {
  return (redis instanceof RedisCluster ? redis.urls[0] : redis.url) ?? "";
}
