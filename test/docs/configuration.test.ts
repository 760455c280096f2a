import { readFileSync } from "node:fs";
import { expect } from "chai";
import { redisTarget } from "../../src/cli/open-servers.js";
import { ConfigError, environment, readConfig, redactUrl } from "../../src/config.js";
import { CONFIGURATION_PAGE, configurationPage, REQUIRED } from "./configuration-page.js";

/** For each variable a value that it must refuse, and what the answer shows of it. */
const WRONG: Record<string, [value: string, got: string, wants: string]> = {
  DATABASE_URL: [
    "mysql://me:hush@db/x",
    '"mysql://db/x"',
    "a URL that starts with postgres:// or postgresql://",
  ],
  REDIS_URL: ["hush", '"(hidden)"', "a URL that starts with redis:// or rediss://"],
  HORIZON_URL: ["ftp://me:hush@horizon", '"ftp://horizon/"', "a URL that starts with http:// or https://"],
  DATABASE_REPLICA_URL: ["mysql://me:hush@db/x", '"mysql://db/x"', "a URL that starts with postgres://"],
  DATABASE_REPLICA_MAX_LAG_SECONDS: ["0", '"0"', "a whole number between 1 and 86400"],
  REDIS_TOPOLOGY: ["ring", '"ring"', "single, cluster or sentinel"],
  LOCKS: ["sometimes", '"sometimes"', "optional, required or off"],
  LOCK_REDIS_URLS: ["redis://:hush@a,redis://:hush@b", "2 parts (hidden)", "one, three or five URLs"],
  LOCK_LEASE_MS: ["999", '"999"', "a whole number between 1000 and 600000"],
  CONSUMER_BATCH: ["0", '"0"', "a whole number between 1 and 2000"],
  CLAIM_IDLE_MS: ["1e4", '"1e4"', "a whole number between 100 and 3600000"],
  MAX_DELIVERIES: ["-2", '"-2"', "a whole number between 2 and 1000"],
  NETWORK_MODE: ["always", '"always"', "auto, on or off"],
  HORIZON_REQUESTS_PER_HOUR: ["-1", '"-1"', "a whole number between 0 and 1000000000"],
  NETWORK_STREAMS: ["65", '"65"', "a whole number between 1 and 64"],
  INGEST_POLL_MS: ["50.5", '"50.5"', "a whole number between 50 and 600000"],
  RECOVERY_EVERY_SECONDS: ["0", '"0"', "a whole number between 1 and 86400"],
  RECOVERY_AFTER_SECONDS: ["never", '"never"', "a whole number between 1 and 86400"],
  WEBHOOK_ALLOW_PRIVATE: ["1", '"1"', "true or false"],
  WEBHOOK_MAX_ENDPOINTS: ["0", '"0"', "a whole number between 1 and 1000"],
  WEBHOOK_SECRETS_KEY: ["hush", '"(hidden)"', "64 hex digits, such as the output of"],
  WEBHOOK_SECRETS_KEY_PREVIOUS: ["hush", '"(hidden)"', "64 hex digits: what WEBHOOK_SECRETS_KEY was before"],
  CHARGE_TIMEOUT_SECONDS: ["0", '"0"', "a whole number between 1 and 600"],
  PORT: ["65536", '"65536"', "a whole number between 0 and 65535"],
  PUBLIC_URL: ["pay.example.com", '"(hidden)"', "a URL that starts with http:// or https://"],
  TRUST_PROXY: ["true", '"true"', "the number of proxies in front, 0 to 9, or their networks"],
  ADMIN_KEY: ["hush", '"(hidden)"', "at least 32 characters"],
  RATE_LIMIT_PER_MERCHANT: ["0", '"0"', "a whole number between 1 and 1000000"],
  RATE_LIMIT_PER_ADDRESS: ["many", '"many"', "a whole number between 1 and 1000000"],
  ALERT_CURSOR_LAG_LEDGERS: ["0", '"0"', "a whole number between 1 and 1000000"],
  ALERT_UNSETTLED_SECONDS: ["soon", '"soon"', "a whole number between 1 and 1000000"],
  ALERT_HORIZON_SILENT_SECONDS: ["0", '"0"', "a whole number between 1 and 1000000"],
  ALERT_CHARGE_UNKNOWN_SECONDS: ["15 min", '"15 min"', "a whole number between 1 and 1000000"],
  ALERT_EXCEPTION_OPEN_SECONDS: ["3 days", '"3 days"', "a whole number between 1 and 100000000"],
  METRICS_PORT: ["65536", '"65536"', "a whole number between 0 and 65535"],
  OPS_USER: ["a:b", '"a:b"', "a name without a colon"],
  OPS_PASSWORD_HASH: ["hush", '"(hidden)"', "a line that `paidonce hash-password` has printed"],
  OPS_TRUSTED_HEADER: ["X User", '"X User"', "the name of a header, such as X-Forwarded-User"],
  OPS_MAY_ACT: ["yes", '"yes"', "true or false"],
  OTEL_EXPORTER_OTLP_ENDPOINT: [
    "collector:4318",
    '"collector:4318"',
    "a URL that starts with http:// or https://",
  ],
  // A public key in the wrong place is the likeliest mistake.
  SEP7_SIGNING_SECRET: [
    "GAYOLLLUIZE4DZMBB2ZBKGBUBZLIOYU6XFLW37GBP2VZD3ABNXCW4BVA",
    '"(hidden)"',
    "a Stellar secret key that starts with S",
  ],
  SEP7_ORIGIN_DOMAIN: ["https://shop", '"https://shop"', "a fully qualified domain name"],
  STRIPE_API_KEY: ["hush", '"(hidden)"', "a secret or restricted key of Stripe's"],
  STRIPE_WEBHOOK_SECRET: ["hush", '"(hidden)"', "the signing secret of a webhook endpoint at Stripe"],
  STRIPE_API_URL: ["ftp://me:hush@stripe", '"ftp://stripe/"', "a URL that starts with http:// or https://"],
  LOG_LEVEL: ["loud", '"loud"', "trace, debug, info, warn, error, fatal or silent"],
  LOG_FORMAT: ["xml", '"xml"', "auto, json or pretty"],
};

/** Any text will do. */
const FREE = ["NETWORK_PASSPHRASE", "REDIS_SENTINEL_MASTER", "HOST", "METRICS_HOST", "NODE_ENV"];

describe("configuration", () => {
  it("docs/configuration.md says what src/config.ts does (else: npm run docs)", () => {
    expect(readFileSync(CONFIGURATION_PAGE, "utf8")).to.equal(configurationPage());
  });

  it("every variable is described, and has a wrong value below", () => {
    for (const [name, { description }] of Object.entries(environment.shape)) {
      expect(description, name).to.match(/^[\w`].{20,}\.$/);
    }
    expect([...Object.keys(WRONG), ...FREE]).to.have.members(Object.keys(environment.shape));
  });

  for (const [name, [value, got, wants]] of Object.entries(WRONG)) {
    it(`a wrong ${name} is answered by one line that names it, what it got and what it wants`, () => {
      const [problem, ...others] = problemsOf({ ...REQUIRED, [name]: value });
      expect(others).to.deep.equal([]);
      expect(problem?.startsWith(`${name}: got ${got}, wants ${wants}`), problem).to.equal(true);
      expect(problem).not.to.include("hush");
    });
  }

  it("the page says of every variable what the answer to a wrong value of it says", () => {
    const page = configurationPage();
    const accepted = (name: string) =>
      new RegExp(`^## ${name}\n(?:(?!## ).*\n)*?- accepts: (.*)$`, "m").exec(page)?.[1];
    for (const [name, [, , wants]] of Object.entries(WRONG))
      expect(accepted(name)?.startsWith(wants), `${name}: ${accepted(name)}`).to.equal(true);
    for (const name of FREE) expect(accepted(name), name).to.equal("any text");
  });

  it("what is missing is told in one line each, with an example", () => {
    expect(problemsOf({})).to.deep.equal([
      "DATABASE_URL: got nothing, wants a URL that starts with postgres:// or postgresql://, such as postgres://user:password@127.0.0.1:5432/paidonce",
      "REDIS_URL: got nothing, wants a URL that starts with redis:// or rediss://, such as redis://127.0.0.1:6379",
      "HORIZON_URL: got nothing, wants a URL that starts with http:// or https://, such as https://horizon.stellar.org",
    ]);
  });

  it("proxies in front are counted, or named by their networks; nothing else is taken for them", () => {
    const proxies = (TRUST_PROXY: string) => readConfig({ ...REQUIRED, TRUST_PROXY }).TRUST_PROXY;
    expect(readConfig(REQUIRED).TRUST_PROXY).to.equal(0);
    expect(proxies("2")).to.equal(2);
    expect(proxies("10.0.0.0/8, fd00::/8")).to.deep.equal(["10.0.0.0/8", "fd00::/8"]);
    expect(proxies("10.0.0.5,::1")).to.deep.equal(["10.0.0.5/32", "::1/128"]);
    for (const wrong of [
      "true",
      "false",
      "10",
      "-1",
      "1.5",
      "10.0.0.0/33",
      "10.0.0",
      "nginx",
      "10.0.0.0/8,",
      ",",
    ]) {
      expect(problemsOf({ ...REQUIRED, TRUST_PROXY: wrong }), wrong).to.have.length(1);
    }
  });

  it("what signs a payment request and the domain it is for are set together or not at all", () => {
    const secret = "SBPOVRVKTTV7W3IOX2FJPSMPCJ5L2WU2YKTP3HCLYPXNI5MDIGREVNYC";
    const domain = "shop.example.com";
    expect(problemsOf({ ...REQUIRED, SEP7_SIGNING_SECRET: secret })).to.deep.equal([
      "SEP7_ORIGIN_DOMAIN: got nothing, wants a value, because SEP7_SIGNING_SECRET is set",
    ]);
    expect(problemsOf({ ...REQUIRED, SEP7_ORIGIN_DOMAIN: domain })).to.deep.equal([
      "SEP7_SIGNING_SECRET: got nothing, wants a value, because SEP7_ORIGIN_DOMAIN is set",
    ]);
    expect(readConfig({ ...REQUIRED, SEP7_SIGNING_SECRET: secret, SEP7_ORIGIN_DOMAIN: domain })).to.include({
      SEP7_SIGNING_SECRET: secret,
      SEP7_ORIGIN_DOMAIN: domain,
    });
  });

  it("an empty variable counts as not set", () => {
    const empty = Object.fromEntries([...Object.keys(WRONG), ...FREE].map((name) => [name, ""]));
    expect(readConfig({ ...empty, ...REQUIRED })).to.deep.equal(readConfig(REQUIRED));
    expect(problemsOf({ ...REQUIRED, REDIS_URL: "" })).to.have.length(1);
  });

  it("several Redis URLs are nodes of a cluster or sentinels, and a sentinel's server has a name", () => {
    const two = { ...REQUIRED, REDIS_URL: "redis://a:1, redis://b:2" };
    expect(problemsOf(two)).to.deep.equal([
      "REDIS_URL: got 2 URLs, wants one, or REDIS_TOPOLOGY=cluster or sentinel",
    ]);
    expect(readConfig({ ...two, REDIS_TOPOLOGY: "cluster" }).REDIS_URL).to.deep.equal([
      "redis://a:1",
      "redis://b:2",
    ]);
    expect(problemsOf({ ...two, REDIS_TOPOLOGY: "sentinel" })).to.deep.equal([
      "REDIS_SENTINEL_MASTER: got nothing, wants a value, because REDIS_TOPOLOGY is sentinel",
    ]);
    expect(problemsOf({ ...REQUIRED, REDIS_SENTINEL_MASTER: "main" })).to.deep.equal([
      "REDIS_TOPOLOGY: wants sentinel, because REDIS_SENTINEL_MASTER is set",
    ]);
    const sentinel = { ...two, REDIS_TOPOLOGY: "sentinel", REDIS_SENTINEL_MASTER: "main" };
    expect(redisTarget(readConfig(sentinel))).to.deep.equal({
      topology: "sentinel",
      urls: ["redis://a:1", "redis://b:2"],
      master: "main",
    });
  });

  it("LOCK_REDIS_URLS takes one, three or five URLs, with spaces around them", () => {
    for (const count of [0, 1, 2, 3, 4, 5, 6, 7]) {
      const urls = Array.from({ length: count }, (_, i) => `redis://lock-${i}:6379`);
      const env = { ...REQUIRED, LOCK_REDIS_URLS: urls.join(" , ") };
      if ([1, 3, 5].includes(count)) expect(readConfig(env).LOCK_REDIS_URLS).to.deep.equal(urls);
      else if (count === 0) expect(readConfig(env).LOCK_REDIS_URLS).to.equal(undefined);
      else expect(problemsOf(env), `${count} URLs`).to.have.length(1);
    }
    expect(problemsOf({ ...REQUIRED, LOCK_REDIS_URLS: "redis://a,redis://b,http://c" })).to.have.length(1);
  });

  it("no secret is ever echoed, however the URL is broken", () => {
    const broken = [
      "postgres//me:hush@db/x",
      "mysql://me:hush@db/x?password=hush#hush",
      "mysql://me:1/hush@db/x",
      "mysql://me:1?hush@db/x",
      "mysql://me:1#hush@db/x",
      "mysql://db,hush@db/x",
      "hush",
    ];
    for (const value of broken) {
      for (const name of ["DATABASE_URL", "REDIS_URL", "HORIZON_URL", "LOCK_REDIS_URLS"]) {
        expect(problemsOf({ ...REQUIRED, [name]: value }).join(), `${name}=${value}`).not.to.include("hush");
      }
      if (!value.includes(",")) expect(redactUrl(value)).not.to.include("hush");
    }
    expect(redactUrl(REQUIRED.DATABASE_URL)).to.equal("postgres://127.0.0.1:5432/paidonce");
  });
});

function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error("it was accepted");
}
