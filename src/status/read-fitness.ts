import type { DataSource } from "typeorm";
import { databaseFault } from "../postgres/database-errors.js";
import { assertWritable } from "../postgres/serializable.js";
import type { RedisClient } from "../redis/client.js";
import { whyNoWrites } from "../redis/requirements.js";

/**
 * Servers that answer and take no writes, in their own words. A ping does not tell: a Redis whose disk is full, and a Postgres
 * that is read-only, answer every one.
 * @param reachable which of them have answered; the others have a line of their own
 */
export async function unfitServers(
  { dataSource, redis }: { readonly dataSource: DataSource; readonly redis: RedisClient },
  reachable: { readonly postgres: boolean; readonly redis: boolean },
): Promise<string[]> {
  const [postgresSays, redisSays] = await Promise.all([
    reachable.postgres ? whyReadOnly(dataSource) : null,
    reachable.redis ? whyNoWrites(redis) : null,
  ]);
  const lines: string[] = [];
  if (postgresSays !== null) {
    lines.push(
      `Postgres answers and takes no writes: "${postgresSays}". Nothing is settled and every POST is refused; nothing is lost. Look at default_transaction_read_only and at its disk, or point DATABASE_URL at the primary.`,
    );
  }
  if (redisSays !== null) {
    lines.push(
      `Redis answers and takes no writes: "${redisSays}". Credits wait at Horizon and jobs stand; nothing is lost. Mend what it says, or point REDIS_URL at the primary.`,
    );
  }
  return lines;
}

async function whyReadOnly(dataSource: DataSource): Promise<string | null> {
  try {
    await assertWritable(dataSource);
    return null;
  } catch (error) {
    // What else may be wrong, such as tables that are missing, is told elsewhere.
    if (databaseFault(error) !== "unavailable") return null;
    return error instanceof Error ? error.message : String(error);
  }
}
