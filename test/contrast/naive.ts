import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { freePort } from "../../stage/machine/free-port.js";
import type { Order } from "./plan.js";
import type { Shop } from "./shop.js";

const SERVER = fileURLToPath(new URL("./naive-server.js", import.meta.url));

const TABLE = `
  CREATE TABLE naive_charges (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    reference text NOT NULL,
    cents integer NOT NULL,
    provider_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  )`;

export type ShopSettings = {
  /** An empty database of its own. */
  readonly databaseUrl: string;
  /** Where it believes its provider to be. */
  readonly providerUrl: string;
  readonly providerKey: string;
};

/** The shop that calls the provider, then saves. */
export async function openNaive({ databaseUrl, providerUrl, providerKey }: ShopSettings): Promise<Shop> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  await pool.query(TABLE);
  const port = await freePort();
  let server = await start();

  async function start(): Promise<ChildProcess> {
    const child = fork(SERVER, {
      env: {
        PATH: process.env.PATH ?? "",
        DATABASE_URL: databaseUrl,
        STRIPE_API_URL: providerUrl,
        STRIPE_API_KEY: providerKey,
        PORT: String(port),
      },
    });
    await Promise.race([
      once(child, "message"),
      once(child, "exit").then(([code]) => {
        throw new Error(`the naive shop ended with ${code} before it was ready`);
      }),
    ]);
    return child;
  }

  return {
    name: "call the provider, then save",
    press: async ({ reference, cents }: Order, patience) => {
      const answer = await fetch(`http://127.0.0.1:${port}/charges`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ reference, cents }),
        signal: AbortSignal.timeout(patience),
      });
      if (answer.status !== 201) throw new Error(`it answered ${answer.status}`);
    },
    crash: () => server.kill("SIGKILL"),
    recover: async () => {
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
      server = await start();
    },
    // What it does ends with the request.
    comeToRest: async () => undefined,
    recorded: async () => {
      const { rows } = await pool.query<{ reference: string; times: number[] }>(
        "SELECT reference, array_agg(cents) AS times FROM naive_charges GROUP BY reference",
      );
      return new Map(rows.map(({ reference, times }) => [reference, times]));
    },
    stop: async () => {
      const gone = once(server, "exit");
      if (server.kill()) await gone;
      await pool.end();
    },
  };
}
