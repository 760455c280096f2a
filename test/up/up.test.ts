import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { freePort } from "../../stage/machine/free-port.js";
import { startRedis } from "../../stage/machine/redis.js";
import { SANDBOX_PASSPHRASE } from "../../stage/sandbox/network.js";
import { startSandbox } from "../../stage/sandbox/server.js";
import { createEmptyDatabase } from "../support/database.js";
import { CLI } from "../support/role-process.js";

const MINUTE = 60_000;

const GIVEN_KEY = "admin-key-that-was-given-0123456789abcdef";

describe("`paidonce up`", () => {
  let folder: string;
  const running = new Set<ChildProcess>();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "paidonce-up-"));
    // Postgres may run as another user, who must be able to pass.
    await chmod(folder, 0o755);
  });
  afterEach(async function () {
    this.timeout(MINUTE);
    for (const child of running) {
      child.kill("SIGTERM");
      await once(child, "close");
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  const start = (env: Record<string, string>): ChildProcess => {
    const child = spawn(process.execPath, [CLI, "up"], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? "", LOG_FORMAT: "json", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    child.once("close", () => running.delete(child));
    return child;
  };

  /** @returns what it wrote until it was up, or had ended */
  const untilUp = async (child: ChildProcess): Promise<string> => {
    const lines: string[] = [];
    const isUp = new Promise<void>((resolve) => {
      for (const input of [child.stdout, child.stderr]) {
        if (input === null) continue;
        createInterface({ input }).on("line", (line) => {
          lines.push(line);
          if (/Sign a payment|ADMIN_KEY$|^ADMIN_KEY is not set/.test(line)) resolve();
        });
      }
    });
    await Promise.race([isUp, once(child, "close")]);
    return lines.join("\n");
  };

  const stop = async (child: ChildProcess) => {
    child.kill("SIGINT");
    const [code] = await once(child, "close");
    expect(code).to.equal(0);
  };

  const shown = (text: string, title: string) =>
    new RegExp(`^ {2}${title} +([^\\s,]+)`, "m").exec(text)?.[1] ?? text;

  /** What the other commands are told while it runs: Postgres and Redis too. */
  const addresses = async () => JSON.parse(await readFile(join(folder, ".paidonce", "up.json"), "utf8"));

  const createMerchant = async (api: string, key: string) => {
    const answer = await fetch(`${api}/v1/merchants`, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${key}`,
        "Content-Type": "application/json",
        "Idempotency-Key": "merchant-1",
      },
      body: '{"name":"A shop"}',
    });
    await answer.text();
    return answer.status;
  };

  it("uses the ADMIN_KEY that it is given and shows it, else its own; and the second start has the first one's ports", async function () {
    this.timeout(10 * MINUTE);
    const first = start({ ADMIN_KEY: GIVEN_KEY, HOST: "0.0.0.0", STRIPE_API_KEY: "sk_live_1" });
    const before = await untilUp(first);
    expect(shown(before, "admin key")).to.equal(GIVEN_KEY);
    expect(before).to.include("not used, since the sandbox has its own: STRIPE_API_KEY, HOST");
    expect(await createMerchant(shown(before, "API"), GIVEN_KEY)).to.equal(201);
    const servers = await addresses();
    await stop(first);

    const asked = await freePort();
    const second = start({ PORT: String(asked) });
    const after = await untilUp(second);
    for (const title of ["network", "Stripe", "merchant", "API key"])
      expect(shown(after, title), title).to.equal(shown(before, title));
    expect(shown(after, "API")).to.equal(`http://127.0.0.1:${asked}`);
    expect(await addresses()).to.deep.equal({ ...servers, PORT: String(asked) });
    const own = shown(after, "admin key");
    expect(own).to.match(/^[0-9a-f]{64}$/);
    expect(await createMerchant(shown(after, "API"), GIVEN_KEY)).to.equal(401);
    expect(await createMerchant(shown(after, "API"), own)).to.equal(201);
    await stop(second);
  });

  it("a variable that is wrong is refused in one line before anything starts", async function () {
    this.timeout(MINUTE);
    const child = start({ ADMIN_KEY: "short" });
    const ended = once(child, "close");
    expect(await untilUp(child)).to.equal(
      'ADMIN_KEY: got "(hidden)", wants at least 32 characters, such as the output of `openssl rand -hex 32`',
    );
    expect((await ended)[0]).to.equal(2);
  });

  it("on servers of one's own it says whether there is an admin key, uses it and never shows it", async function () {
    this.timeout(5 * MINUTE);
    const database = await createEmptyDatabase();
    const redis = await startRedis({ appendonly: false });
    const sandbox = await startSandbox({ ledgerMs: 500, requestsPerHour: 0 });
    try {
      const env = {
        DATABASE_URL: database.url,
        REDIS_URL: redis.url,
        HORIZON_URL: sandbox.url,
        HORIZON_REQUESTS_PER_HOUR: "0",
        NETWORK_PASSPHRASE: SANDBOX_PASSPHRASE,
        PORT: String(await freePort()),
      };
      for (const [key, line, status] of [
        ["", "ADMIN_KEY is not set: nobody can create merchants and their API keys through the API", 401],
        [GIVEN_KEY, "merchants and their API keys are created with the key in ADMIN_KEY", 201],
      ] as const) {
        const child = start({ ...env, ADMIN_KEY: key });
        const text = await untilUp(child);
        expect(text).to.include(line).and.not.to.include(GIVEN_KEY);
        expect(await createMerchant(`http://127.0.0.1:${env.PORT}`, GIVEN_KEY)).to.equal(status);
        await stop(child);
      }
    } finally {
      await Promise.all([...running].map((child) => stop(child).catch(() => undefined)));
      await Promise.all([sandbox.stop(), redis.stop(), database.close()]);
    }
  });
});
