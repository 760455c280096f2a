import pg from "pg";
import { killWholePostgres } from "../../support/kill.js";
import { hasStandby, pairOf } from "../postgres-side.js";
import type { World } from "../world.js";
import { type Fault, wait } from "./fault.js";

const BACKENDS = `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'paidonce-%' ORDER BY pid`;

export const POSTGRES_FAULTS: readonly Fault[] = [
  {
    name: "kill -9 of a Postgres backend",
    seen: "the server ends all others and recovers; committed ones are not repeated, the rest is retried",
    times: 2,
    run: async (world, dice) => {
      const backends: { pid: number }[] = await world.dataSource.query(BACKENDS);
      if (!dice.shuffled(backends).some(({ pid }) => isKilled(pid))) throw new Error("there was no backend");
    },
  },
  {
    name: "kill -9 of the whole Postgres server",
    seen: "it recovers from its log; committed transactions are there and are not repeated",
    times: 2,
    run: async (world, dice, signal) => {
      await killWholePostgres(world.servers.postgres);
      await wait(dice.between(0, 2_000), signal);
      await world.servers.postgres.restart();
    },
  },
  {
    name: "read-only database (stands for a full disk)",
    seen: "nothing is acknowledged; it goes on by itself without loss",
    times: 2,
    run: async (world, dice, signal) => {
      await setReadOnly(world, "ALTER SYSTEM SET default_transaction_read_only = on");
      await wait(dice.between(1_500, 4_000), signal);
      await writable(world);
    },
  },
  {
    name: "primary of Postgres killed, standby promoted",
    seen: "nothing that was acknowledged is missing; nothing is called committed until there is a standby again",
    times: 3,
    on: hasStandby,
    run: async (world, _dice, signal) => {
      const pair = pairOf(world);
      await pair.paired(signal);
      await pair.failOver();
    },
  },
  {
    name: "kill -9 of the standby of Postgres",
    seen: "commits wait until it is back, and nothing is lost",
    times: 2,
    on: hasStandby,
    run: async (world, dice, signal) => {
      const pair = pairOf(world);
      await pair.paired(signal);
      await pair.standby.kill();
      await wait(dice.between(1_000, 5_000), signal);
      await pair.standby.restart();
    },
  },
];

/** False when it was gone already. */
function isKilled(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** Takes back what makes the database read-only, whatever happened meanwhile. */
export async function writable(world: World): Promise<void> {
  await setReadOnly(world, "ALTER SYSTEM RESET default_transaction_read_only");
}

async function setReadOnly(world: World, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: world.servers.postgres.url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    await client.query("SET default_transaction_read_only = off");
    await client.query(statement);
    await client.query("SELECT pg_reload_conf()");
  } finally {
    await client.end();
  }
}
