import pg from "pg";
import type { DataSource, QueryRunner } from "typeorm";
import { findSessions } from "../src/settlement/find-sessions.js";
import { type DecidedMovement, recordOutcomes } from "../src/settlement/record-outcomes.js";
import { settle } from "../src/settlement/settle.js";
import type { Credit } from "../src/stellar/credit.js";
import { toStroops } from "../src/stellar/stroops.js";
import { checkRows } from "./check-rows.js";
import { paceOf } from "./pace.js";
import type { Servers } from "./servers.js";
import { openWorkload } from "./workload.js";

/** Of both below, as many as the service settles in one transaction. */
const BATCH = 200;

const SERIALIZATION_FAILURE = "40001";

type Statement = { readonly name: string; readonly text: string; values: unknown[] };

export type CeilingOptions = { readonly payments: number; readonly connections: number };

/**
 * The set-wise statement alone: the very text and parameters that settlement sends, made beforehand, prepared, each in a
 * serializable transaction of its own; nothing is read, decided or decoded. No settlement in batches of this size can be faster.
 * @returns payments per second
 */
export async function measureStatement(servers: Servers, options: CeilingOptions): Promise<number> {
  await using database = await servers.database();
  const { credits } = await openWorkload(database.dataSource, options);
  const batches = batchesOf(credits);
  const statements = await Promise.all(batches.map((batch) => statementsOf(database.dataSource, batch)));
  const clients = Array.from(
    { length: options.connections },
    () => new pg.Client({ connectionString: database.url }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  try {
    const pace = await shareOut(batches, clients, (client, index) => commit(client, statements[index] ?? []));
    await checkRows(
      database.dataSource,
      { credits: credits.length, payments: credits.length },
      "the statement alone",
    );
    return pace;
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

/** `settle` alone, decisions, row locks and TypeORM included: no stream, no lock service, no decoding. */
export async function measureSettle(servers: Servers, options: CeilingOptions): Promise<number> {
  await using database = await servers.database();
  const { credits } = await openWorkload(database.dataSource, options);
  const workers = Array.from({ length: options.connections }, (_, i) => i);
  const batches = batchesOf(credits);
  const pace = await shareOut(batches, workers, async (_, index) => {
    await settle(database.dataSource, batches[index] ?? []);
  });
  await checkRows(database.dataSource, { credits: credits.length, payments: credits.length }, "settle alone");
  return pace;
}

function batchesOf(credits: readonly Credit[]): Credit[][] {
  return Array.from({ length: Math.ceil(credits.length / BATCH) }, (_, i) =>
    credits.slice(i * BATCH, (i + 1) * BATCH),
  );
}

/** What settlement would send for a batch that pays all its sessions, caught on its way to the database. */
async function statementsOf(dataSource: DataSource, batch: readonly Credit[]): Promise<Statement[]> {
  const sessions = await findSessions(dataSource.manager, batch, { lock: false });
  const decided = batch.map((movement): DecidedMovement => {
    const session = sessions.of(movement);
    if (session === null) throw new Error("a credit of the benchmark has no session");
    return { movement, outcome: { kind: "payment", sessionId: session.id, surplus: toStroops(0n) } };
  });
  const caught: Statement[] = [];
  const runner = {
    query: async (text: string, values: unknown[] = []) => {
      caught.push({ name: `statement-${caught.length}`, text, values });
      return [];
    },
  };
  await recordOutcomes(runner as unknown as QueryRunner, decided, () => null);
  return caught;
}

/** Serializable, like all that settles: on several connections some of it conflicts and is sent again. */
async function commit(client: pg.Client, statements: readonly Statement[]): Promise<void> {
  for (;;) {
    try {
      await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
      for (const statement of statements) await client.query(statement);
      await client.query("COMMIT");
      return;
    } catch (error) {
      await client.query("ROLLBACK");
      if (!(error instanceof pg.DatabaseError && error.code === SERIALIZATION_FAILURE)) throw error;
    }
  }
}

/** Has each worker take the next batch until there is none. @returns payments per second */
async function shareOut<W>(
  batches: readonly (readonly Credit[])[],
  workers: readonly W[],
  run: (worker: W, index: number) => Promise<void>,
): Promise<number> {
  let [next, done] = [0, 0];
  const work = async (worker: W) => {
    for (let index = next++; index < batches.length; index = next++) {
      await run(worker, index);
      done += batches[index]?.length ?? 0;
    }
  };
  const total = batches.reduce((sum, batch) => sum + batch.length, 0);
  const [pace] = await Promise.all([paceOf(total, () => done), ...workers.map(work)]);
  return pace;
}
