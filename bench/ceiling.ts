import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import type { DataSource, QueryRunner } from "typeorm";
import { paymentConfirmed } from "../src/outbox/events.js";
import { nameSessions } from "../src/settlement/find-sessions.js";
import { type DecidedMovement, recordOutcomes } from "../src/settlement/record-outcomes.js";
import { settle } from "../src/settlement/settle.js";
import type { Credit } from "../src/stellar/credit.js";
import { toStroops } from "../src/stellar/stroops.js";
import { checkRows } from "./check-rows.js";
import { paceOf } from "./pace.js";
import type { Servers } from "./servers.js";
import { openWorkload } from "./workload.js";

/** Of both below, as many as the service settles in one transaction. */
const BATCH = 400;

const PLAIN = fileURLToPath(new URL("../../bench/sql/set-wise.sql", import.meta.url));

const SERIALIZATION_FAILURE = "40001";

type Statement = { readonly name: string; readonly text: string; values: unknown[] };

export type CeilingOptions = { readonly payments: number; readonly connections: number };

/** What is sent for a batch, made before anything is measured. */
type Maker = (dataSource: DataSource, batch: readonly Credit[], merchantId: string) => Promise<Statement[]>;

/**
 * The set-wise statement alone: the very text and parameters that settlement sends, prepared, each batch in a serializable
 * transaction of its own; nothing is read, decided or decoded.
 * @returns payments per second
 */
export function measureStatement(servers: Servers, options: CeilingOptions): Promise<number> {
  return measureStatements(servers, options, ourStatements);
}

/** The same with the plainest statement that writes the same rows: no settlement in such batches can be faster. */
export async function measurePlain(servers: Servers, options: CeilingOptions): Promise<number> {
  const text = await readFile(PLAIN, "utf8");
  return measureStatements(servers, options, (dataSource, batch, merchantId) =>
    plainStatements(text, dataSource, batch, merchantId),
  );
}

async function measureStatements(servers: Servers, options: CeilingOptions, make: Maker): Promise<number> {
  await using database = await servers.database();
  const { credits, merchantId } = await openWorkload(database.dataSource, options);
  const batches = batchesOf(credits);
  const statements: Statement[][] = [];
  for (const batch of batches) statements.push(await make(database.dataSource, batch, merchantId));
  const clients = Array.from(
    { length: options.connections },
    () => new pg.Client({ connectionString: database.url }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  try {
    const pace = await shareOut(batches, clients, (client, index) => commit(client, statements[index] ?? []));
    const expected = { credits: credits.length, payments: credits.length };
    await checkRows(database.dataSource, expected, "the statement alone");
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
async function ourStatements(dataSource: DataSource, batch: readonly Credit[]): Promise<Statement[]> {
  const decided = (await withSessions(dataSource, batch)).map(
    ({ credit, sessionId }): DecidedMovement => ({
      movement: credit,
      outcome: { kind: "payment", sessionId, surplus: toStroops(0n) },
    }),
  );
  const caught: Statement[] = [];
  const runner = {
    connect: async () => ({
      query: async (statement: Statement) => {
        caught.push(statement);
        return { rows: [] };
      },
    }),
  };
  const caughtBy = { ...runner, manager: { queryRunner: runner } };
  await recordOutcomes(caughtBy as unknown as QueryRunner, decided, () => null);
  return caught;
}

async function plainStatements(
  text: string,
  dataSource: DataSource,
  batch: readonly Credit[],
  merchantId: string,
): Promise<Statement[]> {
  const rows = (await withSessions(dataSource, batch)).map(({ credit, sessionId }) => ({
    credit,
    sessionId,
    event: paymentConfirmed(credit, sessionId, toStroops(0n)),
  }));
  const [first] = batch;
  const values = [
    rows.map(({ credit }) => credit.operationId.toString()),
    rows.map(({ sessionId }) => sessionId),
    rows.map(({ credit }) => credit.memo),
    rows.map(({ credit }) => credit.transactionHash),
    rows.map(({ credit }) => credit.record),
    rows.map(({ event }) => event.id),
    rows.map(({ event }) => event.body),
    ...[first?.account, first?.from, first?.amount.toString(), first?.closedAt.toISOString(), merchantId],
  ];
  return [{ name: "plain", text, values }];
}

async function withSessions(dataSource: DataSource, batch: readonly Credit[]) {
  const sessions = await nameSessions(dataSource.manager, batch);
  return batch.map((credit) => {
    const session = sessions.of(credit);
    if (session === null) throw new Error("a credit of the benchmark has no session");
    return { credit, sessionId: session.id };
  });
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
