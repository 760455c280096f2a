import { randomBytes } from "node:crypto";
import type { MigrationInterface, QueryRunner } from "typeorm";
import { ACCOUNTS } from "./schema/accounts.js";
import { CHARGES } from "./schema/charges.js";
import { CHECKS } from "./schema/checks.js";
import { CREDITS } from "./schema/credits.js";
import { OUTBOX } from "./schema/outbox.js";
import { PARTITIONS } from "./schema/partitions.js";
import { SESSIONS } from "./schema/sessions.js";

/**
 * The whole schema, in the order of the money's way: who is paid, what is asked for, what came, what merchants are told, and
 * how all of it is proved. Each table stands with its constraints, indexes and triggers, and with the reason of each.
 * Locks: none that matter, every table is new. Duration: under a second.
 *
 * The constraints are the backstop of the guarantees: with every lock off and every queue wiped, they alone keep a payment
 * from counting twice. Each is named after what it guards; code matches on the names.
 */
export class Schema1 implements MigrationInterface {
  /** TypeORM orders migrations by the 13 digits at the end; ours are numbers, not times. */
  readonly name = "Schema0000000000001";

  async up(runner: QueryRunner): Promise<void> {
    for (const part of [ACCOUNTS, SESSIONS, CHARGES, CREDITS, PARTITIONS, OUTBOX, CHECKS]) {
      await runner.query(part);
    }
    await runner.query("INSERT INTO entry_keys (secret) VALUES ($1)", [randomBytes(32)]);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
