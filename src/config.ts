import ipaddr from "ipaddr.js";
import { z } from "zod";
import { PUBLIC_NETWORK } from "./stellar/network.js";
import { isStrKey } from "./stellar/strkey.js";

/** A server's address. Shown in logs without its password, see `redactUrl`. */
const isUrl = (text: string, protocols: readonly string[]) =>
  URL.canParse(text) && protocols.includes(new URL(text).protocol);

const url = (protocols: readonly string[], example: string) => {
  const wanted = `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}, such as ${example}`;
  // The same answer to nothing at all as to something else.
  return z.string({ error: wanted }).refine((text) => isUrl(text, protocols), wanted);
};

const wholeNumber = (minimum: number, maximum: number) => {
  const wanted = `a whole number between ${minimum} and ${maximum}`;
  return z
    .string()
    .regex(/^\d{1,12}$/, wanted)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, wanted);
};

const flag = () =>
  z
    .enum(["true", "false"])
    .default("false")
    .transform((word) => word === "true");

const REDIS = ["redis:", "rediss:"];

const urlList = (protocols: readonly string[], isCount: (count: number) => boolean, wanted: string) =>
  z
    .string({ error: wanted })
    .transform((text) => text.split(",").map((part) => part.trim()))
    .refine((urls) => isCount(urls.length) && urls.every((part) => isUrl(part, protocols)), wanted);

/** What `paidonce hash-password` prints: log2 of N, r, p, salt, hash. No `$`, which shells and compose files expand. */
const SCRYPT_TEXT = /^scrypt:\d{1,2}:\d{1,2}:\d{1,2}:[\w-]{22,}:[\w-]{43}$/;

const PROXIES_WANTED =
  "the number of proxies in front, 0 to 9, or their networks, such as 10.0.0.0/8,fd00::/8";

/** @returns a number of proxies, or networks in CIDR; null for anything else */
function trustedProxies(text: string): number | readonly string[] | null {
  if (/^\d$/.test(text)) return Number(text);
  const networks = text.split(",").map((part) => {
    const network = part.trim();
    if (network.includes("/")) return network;
    return `${network}/${ipaddr.IPv6.isValid(network) ? 128 : 32}`;
  });
  // Not `isValidCIDR`: for it 10 is an address.
  const isNetwork = (text: string) =>
    ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv6.isValidCIDR(text);
  return networks.every(isNetwork) ? networks : null;
}

/**
 * Every variable the program reads, once, at start. `docs/configuration.md` is made from this schema: its
 * descriptions are written for operators.
 */
export const environment = z.object({
  DATABASE_URL: url(
    ["postgres:", "postgresql:"],
    "postgres://user:password@127.0.0.1:5432/paidonce",
  ).describe("The Postgres primary with the books. Never a standby."),
  DATABASE_REPLICA_URL: url(["postgres:", "postgresql:"], "postgres://user:password@127.0.0.1:5433/paidonce")
    .optional()
    .describe(
      "A hot standby of that Postgres. `api` reads lists and exports from it, and from DATABASE_URL while it is away or too far behind.",
    ),
  DATABASE_REPLICA_MAX_LAG_SECONDS: wholeNumber(1, 86_400)
    .default(30)
    .describe("How far behind DATABASE_REPLICA_URL may be before lists come from DATABASE_URL."),
  REDIS_URL: urlList(
    REDIS,
    (count) => count > 0,
    "a URL that starts with redis:// or rediss://, such as redis://127.0.0.1:6379",
  ).describe(
    "The Redis with the streams and job queues. It may lose everything. For a cluster some nodes, for sentinels each one, separated by commas; user and password of the first hold for all.",
  ),
  REDIS_TOPOLOGY: z
    .enum(["single", "cluster", "sentinel"])
    .default("single")
    .describe("What REDIS_URL names: one server, nodes of a Redis Cluster, or sentinels."),
  REDIS_SENTINEL_MASTER: z
    .string()
    .min(1)
    .optional()
    .describe("The name of the server at the sentinels. Set it exactly when REDIS_TOPOLOGY=sentinel."),
  HORIZON_URL: url(["http:", "https:"], "https://horizon.stellar.org").describe(
    "The Horizon server to watch.",
  ),
  HORIZON_REQUESTS_PER_HOUR: wholeNumber(0, 1_000_000_000)
    .default(3_600)
    .describe(
      "Requests that the Horizon server allows this address in an hour; 0 means no limit. All roles and replicas share this budget through REDIS_URL: set the same for all.",
    ),
  NETWORK_PASSPHRASE: z
    .string()
    .min(1)
    .default(PUBLIC_NETWORK)
    .describe(
      "The network that Horizon must serve. A database belongs to the network of its first process; with another passphrase every role refuses to start.",
    ),
  LOCKS: z
    .enum(["optional", "required", "off"])
    .default("optional")
    .describe(
      "Without a quorum of lock servers: continue with the database alone (`optional`) or wait (`required`). `off` takes no locks. All three are safe.",
    ),
  LOCK_REDIS_URLS: urlList(
    REDIS,
    (count) => [1, 3, 5].includes(count),
    "one, three or five URLs that start with redis:// or rediss://, separated by commas",
  )
    .optional()
    .describe("Independent Redis servers for Redlock, separated by commas. Default: REDIS_URL alone."),
  LOCK_LEASE_MS: wholeNumber(1_000, 600_000)
    .default(10_000)
    .describe("How long a lock outlives a dead holder. Statements end before."),
  CONSUMER_BATCH: wholeNumber(1, 2_000)
    .default(400)
    .describe(
      "The most entries in one transaction. Beyond 500, settlements conflict unless Postgres' max_pred_locks_per_transaction is more than twice as high.",
    ),
  CLAIM_IDLE_MS: wholeNumber(100, 3_600_000)
    .default(30_000)
    .describe("After this idle time another replica claims a dead one's pending entries."),
  MAX_DELIVERIES: wholeNumber(2, 1_000)
    .default(5)
    .describe("An entry delivered more often than this goes to the dead letters."),
  INGEST_POLL_MS: wholeNumber(50, 600_000)
    .default(10_000)
    .describe(
      "The longest wait of `ingest` between two questions for a new ledger, while the network closes none.",
    ),
  NETWORK_MODE: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "Whether ingest reads all accounts together from the network's feed (`on`), each by itself (`off`), or the cheaper way (`auto`). It may be changed at any time.",
    ),
  NETWORK_STREAMS: wholeNumber(1, 64)
    .default(8)
    .describe(
      "The number of streams of accounts that are read together. The same for all replicas of `ingest`.",
    ),
  RECOVERY_EVERY_SECONDS: wholeNumber(1, 86_400)
    .default(300)
    .describe("How often `work` repairs what faults left behind."),
  RECOVERY_AFTER_SECONDS: wholeNumber(1, 86_400)
    .default(300)
    .describe(
      "The age at which recovery looks at a `processing` session, an outbox event or a dead consumer's entry.",
    ),
  WEBHOOK_ALLOW_PRIVATE: flag().describe(
    "Allows webhooks to private addresses and over plain http. For development only: merchants choose the URLs.",
  ),
  WEBHOOK_MAX_ENDPOINTS: wholeNumber(1, 1_000)
    .default(16)
    .describe("The most webhook endpoints of one merchant. Existing ones stay."),
  WEBHOOK_SECRETS_KEY: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, "64 hex digits, such as the output of `openssl rand -hex 32`")
    .optional()
    .describe(
      "Encrypts the secrets of webhook endpoints in the database. The same for `api`, `work` and `paidonce webhooks rotate-key`. If it is lost, each endpoint needs a new secret.",
    ),
  WEBHOOK_SECRETS_KEY_PREVIOUS: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, "64 hex digits: what WEBHOOK_SECRETS_KEY was before")
    .optional()
    .describe("The old key, until `paidonce webhooks rotate-key` has been run."),
  CHARGE_TIMEOUT_SECONDS: wholeNumber(1, 600)
    .default(20)
    .describe(
      "How long one call to a provider may take. The same for all replicas of `work`: they take over an unfinished charge after three times this and 10 s.",
    ),
  HOST: z.string().min(1).default("127.0.0.1").describe("The address that `paidonce api` listens on."),
  PORT: wholeNumber(0, 65_535).default(8080).describe("The port that `paidonce api` listens on."),
  PUBLIC_URL: url(["http:", "https:"], "https://pay.example.com")
    .transform((text) => text.replace(/\/$/, ""))
    .optional()
    .describe("Where customers and merchants reach the API, if not at the address it listens on."),
  TRUST_PROXY: z
    .string()
    .default("0")
    .refine((text) => trustedProxies(text) !== null, PROXIES_WANTED)
    .transform((text) => trustedProxies(text) ?? 0)
    .describe(
      "The proxies in front whose `X-Forwarded-For` is trusted: how many in a row, or their networks. Each must add the address it has seen at the right end, as nginx does.",
    ),
  ADMIN_KEY: z
    .string()
    .min(32, "at least 32 characters, such as the output of `openssl rand -hex 32`")
    .optional()
    .describe("The key that creates merchants and their API keys through the API."),
  RATE_LIMIT_PER_MERCHANT: wholeNumber(1, 1_000_000)
    .default(1_200)
    .describe("Requests per minute of one merchant."),
  RATE_LIMIT_PER_ADDRESS: wholeNumber(1, 1_000_000)
    .default(300)
    .describe("Requests per minute of one address without a key."),
  ALERT_CURSOR_LAG_LEDGERS: wholeNumber(1, 1_000_000)
    .default(60)
    .describe("The status is red when an account's ingest is more ledgers than this behind Horizon."),
  ALERT_UNSETTLED_SECONDS: wholeNumber(1, 1_000_000)
    .default(60)
    .describe("The status is red when a credit or an event has waited for longer than this."),
  ALERT_HORIZON_SILENT_SECONDS: wholeNumber(1, 1_000_000)
    .default(120)
    .describe("The status is red when the newest known ledger closed longer ago than this."),
  ALERT_CHARGE_UNKNOWN_SECONDS: wholeNumber(1, 1_000_000)
    .default(900)
    .describe("The status is red when a charge is unknown for longer than this."),
  ALERT_EXCEPTION_OPEN_SECONDS: wholeNumber(1, 100_000_000)
    .default(259_200)
    .describe(
      "The status is red when an exception waits for its verdict for longer than this. The default is three days, so that a weekend is none. Unreadable credits turn it red at once.",
    ),
  METRICS_PORT: wholeNumber(0, 65_535)
    .optional()
    .describe(
      "Where `ingest`, `consume` and `work` serve /metrics, /healthz and /startupz; 0 takes a free port and logs it. `api` has them on PORT.",
    ),
  METRICS_HOST: z.string().min(1).default("127.0.0.1").describe("The address that METRICS_PORT listens on."),
  OPS_USER: z
    .string()
    .regex(/^[^:]+$/, "a name without a colon")
    .default("operator")
    .describe("The user of the login of /ops."),
  OPS_PASSWORD_HASH: z
    .string()
    .regex(SCRYPT_TEXT, "a line that `paidonce hash-password` has printed")
    .optional()
    .describe("The password for /ops, as `paidonce hash-password` prints it."),
  OPS_TRUSTED_HEADER: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/, "the name of a header, such as X-Forwarded-User")
    .optional()
    .describe(
      "A header in which your proxy names the logged-in user: every request with it may see /ops. The proxy must remove it from outside requests.",
    ),
  OPS_MAY_ACT: flag().describe("Whether the login of /ops may retry and remove jobs."),
  OTEL_EXPORTER_OTLP_ENDPOINT: url(["http:", "https:"], "http://127.0.0.1:4318")
    .optional()
    .describe("Where traces go, by OTLP over HTTP (`/v1/traces` is added)."),
  NODE_ENV: z
    .string()
    .optional()
    .describe(
      "With `production` (as in the image) `api` does not start without a login for /ops. With `development` /ops needs none on this machine.",
    ),
  SEP7_SIGNING_SECRET: z
    .string()
    .refine((text) => isStrKey("seed", text), "a Stellar secret key that starts with S")
    .optional()
    .describe(
      "Signs the page's payment requests (SEP-7), so that wallets show their origin. Its public key is `URI_REQUEST_SIGNING_KEY` in the stellar.toml of SEP7_ORIGIN_DOMAIN. Use a key without money. Set both or none.",
    ),
  SEP7_ORIGIN_DOMAIN: z
    .string()
    .regex(
      /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/i,
      "a fully qualified domain name, such as shop.example.com",
    )
    .optional()
    .describe("The domain that wallets show beside a verified payment request."),
  STRIPE_API_KEY: z
    .string()
    .regex(/^[sr]k_(test|live)_\w+$/, "a secret or restricted key of Stripe's, such as sk_test_…")
    .optional()
    .describe("Enables the provider `stripe`. A restricted key that may write PaymentIntents is enough."),
  STRIPE_WEBHOOK_SECRET: z
    .string()
    .regex(/^whsec_\S+$/, "the signing secret of a webhook endpoint at Stripe, which starts with whsec_")
    .optional()
    .describe("Verifies POST /v1/providers/stripe/webhook. Without it nothing is accepted there."),
  STRIPE_API_URL: url(["http:", "https:"], "https://api.stripe.com")
    .default("https://api.stripe.com")
    .describe("Where Stripe's API is. Change it for tests alone: it gets the key."),
  LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .describe("The least severe log line that is written."),
  LOG_FORMAT: z
    .enum(["auto", "json", "pretty"])
    .default("auto")
    .describe("`json` for machines, `pretty` for people; `auto` is pretty on a terminal."),
});

/** What the program goes by: the variables, and in milliseconds what they say in seconds and timers take in milliseconds. */
export type Config = Omit<
  z.output<typeof environment>,
  "CHARGE_TIMEOUT_SECONDS" | "DATABASE_REPLICA_MAX_LAG_SECONDS"
> & {
  readonly CHARGE_TIMEOUT_MS: number;
  readonly DATABASE_REPLICA_MAX_LAG_MS: number;
};

/** Where customers and merchants reach the API. */
export function publicUrlOf({ PUBLIC_URL, HOST, PORT }: Config): string {
  return PUBLIC_URL ?? `http://${HOST}:${PORT}`;
}

export class ConfigError extends Error {
  override readonly name = "ConfigError";

  /** @param problems one line per variable: its name, what it got, what it wants */
  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

/** Never echoed, whatever is wrong with them. */
const SECRET = /URL|PASSWORD|SECRET|KEY|TOKEN/;

/**
 * Reads and validates the environment.
 * @throws ConfigError that names every variable that is wrong, what it got and what it wants
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  // An empty variable is how compose files and shells say "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const result = environment.safeParse(given);
  if (result.success) return fitting(inMilliseconds(result.data));
  const problems = new Map<string, string>();
  for (const issue of result.error.issues) {
    const name = String(issue.path[0]);
    if (problems.has(name)) continue;
    const value = given[name];
    const got = value === undefined ? "nothing" : shown(name, value);
    problems.set(name, `${name}: got ${got}, wants ${wants(issue)}`);
  }
  throw new ConfigError([...problems.values()]);
}

function inMilliseconds(variables: z.output<typeof environment>): Config {
  const { CHARGE_TIMEOUT_SECONDS, DATABASE_REPLICA_MAX_LAG_SECONDS, ...others } = variables;
  return {
    ...others,
    CHARGE_TIMEOUT_MS: CHARGE_TIMEOUT_SECONDS * 1_000,
    DATABASE_REPLICA_MAX_LAG_MS: DATABASE_REPLICA_MAX_LAG_SECONDS * 1_000,
  };
}

/** @throws ConfigError where variables don't fit together that are right alone */
function fitting(config: Config): Config {
  const problems = [...sep7Problems(config), ...redisProblems(config), ...stripeProblems(config)];
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function sep7Problems({ SEP7_SIGNING_SECRET: secret, SEP7_ORIGIN_DOMAIN: domain }: Config): string[] {
  if ((secret === undefined) === (domain === undefined)) return [];
  const missing = secret === undefined ? "SEP7_SIGNING_SECRET" : "SEP7_ORIGIN_DOMAIN";
  const given = secret === undefined ? "SEP7_ORIGIN_DOMAIN" : "SEP7_SIGNING_SECRET";
  return [`${missing}: got nothing, wants a value, because ${given} is set`];
}

/** A charge in Stripe's test mode must never be shown as `livemode: true`, nor real money as a test. */
function stripeProblems({ STRIPE_API_KEY: key, NETWORK_PASSPHRASE: passphrase }: Config): string[] {
  if (key === undefined) return [];
  const isLive = passphrase === PUBLIC_NETWORK;
  if (key.slice(3).startsWith("live") === isLive) return [];
  return [
    isLive
      ? "STRIPE_API_KEY: got a test key, wants a live one, because NETWORK_PASSPHRASE names the public network"
      : "STRIPE_API_KEY: got a live key, wants a test one, because NETWORK_PASSPHRASE names a test network",
  ];
}

function redisProblems({ REDIS_URL, REDIS_TOPOLOGY, REDIS_SENTINEL_MASTER }: Config): string[] {
  const isSentinel = REDIS_TOPOLOGY === "sentinel";
  if (REDIS_TOPOLOGY === "single" && REDIS_URL.length > 1) {
    return [`REDIS_URL: got ${REDIS_URL.length} URLs, wants one, or REDIS_TOPOLOGY=cluster or sentinel`];
  }
  if (isSentinel && REDIS_SENTINEL_MASTER === undefined) {
    return ["REDIS_SENTINEL_MASTER: got nothing, wants a value, because REDIS_TOPOLOGY is sentinel"];
  }
  if (!isSentinel && REDIS_SENTINEL_MASTER !== undefined) {
    return ["REDIS_TOPOLOGY: wants sentinel, because REDIS_SENTINEL_MASTER is set"];
  }
  return [];
}

function wants(issue: z.core.$ZodIssue): string {
  return issue.code === "invalid_value" ? oneOf(issue.values.map(String)) : issue.message;
}

function oneOf(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function shown(name: string, value: string): string {
  if (!SECRET.test(name)) return JSON.stringify(value);
  const parts = value.split(",");
  // A comma may stand between two URLs or in a password: neither half is safe to show.
  return parts.length > 1 ? `${parts.length} parts (hidden)` : JSON.stringify(redactUrl(value));
}

/** A URL without user, password and query, fit for logs; anything else becomes `(hidden)`. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return "(hidden)";
  const { protocol, host, pathname, search, hash } = new URL(text);
  // An @ after the host: the password holds a / ? or # as it is, and what looks like the host is half of it.
  if (host === "" || `${pathname}${search}${hash}`.includes("@")) return "(hidden)";
  return `${protocol}//${host}${pathname}`;
}
