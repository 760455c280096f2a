import type { DataSource } from "typeorm";
import { ConfigError } from "../config.js";

/** The first with all that the migrations use; the tests run on it and on newer ones. */
const VERSION_AT_LEAST = 150_000;

const ASK = `
  SELECT current_setting('server_version_num')::integer AS version, current_user AS name,
         ARRAY(SELECT c.relname::text FROM pg_class c
               WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                 AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'))
                 AND c.relname <> 'migrations'
               ORDER BY 1 LIMIT 10) AS closed`;

/**
 * Asks for what a role needs of Postgres and will not get by waiting: a version, and rights on its tables.
 * @throws ConfigError
 */
export async function refuseUnfitPostgres(dataSource: DataSource): Promise<void> {
  const [row]: { version: number; name: string; closed: string[] }[] = await dataSource.query(ASK);
  if (row === undefined) return;
  if (row.version < VERSION_AT_LEAST) {
    throw new ConfigError([
      `DATABASE_URL: that Postgres is version ${row.version / 10_000}, and ${VERSION_AT_LEAST / 10_000} is needed`,
    ]);
  }
  if (row.closed.length > 0) {
    throw new ConfigError([
      `DATABASE_URL: user ${row.name} may not read and write ${row.closed.join(", ")}: GRANT it the rights on all tables, or name the user that ran \`paidonce migrate\``,
    ]);
  }
}
