/** `npm run docs`: writes docs/schema.md anew, from a database that is migrated for it. */
import { writeFileSync } from "node:fs";
import { migratedDatabase, startSharedPostgres } from "../support/database.js";
import { SCHEMA_PAGE, schemaPage } from "./schema-page.js";

const postgres = await startSharedPostgres();
try {
  const database = await migratedDatabase(postgres.url);
  // What is held of partitions is made with the first of them.
  await database.dataSource.query("SELECT prepare_partitions(0)");
  writeFileSync(SCHEMA_PAGE, await schemaPage(database.dataSource));
  await database.close();
} finally {
  await postgres.stop();
}
