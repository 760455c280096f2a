import type { EntityManager } from "typeorm";

/**
 * A statement that every connection parses and plans once: what settlement does for each batch is long to plan and
 * quick to run. Its plan does not depend on the size of a batch, so it is the same for one row as for hundreds.
 */
export type PreparedStatement = {
  /** Belongs to this text alone: of two texts under one name `pg` refuses the second. */
  readonly name: string;
  readonly text: string;
};

/** What `pg`'s client takes and TypeORM's `query` does not pass on: a name. */
type Connection = {
  query(statement: PreparedStatement & { readonly values: readonly unknown[] }): Promise<{ rows: unknown[] }>;
};

/**
 * Runs a prepared statement in the manager's transaction, or on a connection of the pool where it has none.
 * @returns its rows, as the caller knows them to be
 * @throws the database's error, as `pg` gives it
 */
export async function runPrepared<Row>(
  manager: EntityManager,
  statement: PreparedStatement,
  values: readonly unknown[],
): Promise<Row[]> {
  const runner = manager.queryRunner ?? manager.dataSource.createQueryRunner();
  try {
    const connection: Connection = await runner.connect();
    return (await connection.query({ ...statement, values })).rows as Row[];
  } finally {
    if (runner !== manager.queryRunner) await runner.release();
  }
}
