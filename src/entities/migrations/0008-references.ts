import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * References that are checked once for a statement, as foreign keys that are checked row by row were a fifth of what
 * settlement costs Postgres. What a credit pays is still held by foreign keys.
 * Locks: ACCESS EXCLUSIVE on credits, outbox_events and what they refer to, for milliseconds.
 */
export class References8 implements MigrationInterface {
  readonly name = "References0000000000008";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("ALTER TABLE credits DROP CONSTRAINT credits_account_is_watched");
    await runner.query(`
      ALTER TABLE outbox_events DROP CONSTRAINT outbox_merchant_exists, DROP CONSTRAINT outbox_session_exists`);
    await this.#children(runner);
    await this.#parents(runner);
  }

  /** As a foreign key does: what is referred to must be there, and can't go before this transaction has ended. */
  async #children(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION check_credit_references() RETURNS trigger LANGUAGE plpgsql
      SET enable_seqscan = off AS $$
      DECLARE
        accounts text[];
      BEGIN
        IF TG_OP = 'UPDATE' THEN
          accounts := ARRAY[NEW.account];
        ELSE
          accounts := ARRAY(SELECT DISTINCT account FROM added);
        END IF;
        IF cardinality(ARRAY(SELECT account FROM stream_cursors WHERE account = ANY (accounts) FOR KEY SHARE))
            < cardinality(accounts) THEN
          RAISE foreign_key_violation USING
            MESSAGE = 'a credit is of an account that is not watched',
            TABLE = 'credits', CONSTRAINT = 'credits_account_is_watched';
        END IF;
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE FUNCTION check_event_references() RETURNS trigger LANGUAGE plpgsql
      SET enable_seqscan = off AS $$
      DECLARE
        merchant_ids uuid[];
        session_ids uuid[];
        broken text;
      BEGIN
        IF TG_OP = 'UPDATE' THEN
          merchant_ids := ARRAY[NEW.merchant_id];
          session_ids := array_remove(ARRAY[NEW.session_id], NULL);
        ELSE
          merchant_ids := ARRAY(SELECT DISTINCT merchant_id FROM added);
          session_ids := ARRAY(SELECT DISTINCT session_id FROM added WHERE session_id IS NOT NULL);
        END IF;
        IF cardinality(ARRAY(SELECT id FROM merchants WHERE id = ANY (merchant_ids) FOR KEY SHARE))
            < cardinality(merchant_ids) THEN
          broken := 'outbox_merchant_exists';
        ELSIF cardinality(ARRAY(SELECT id FROM checkout_sessions WHERE id = ANY (session_ids) FOR KEY SHARE))
            < cardinality(session_ids) THEN
          broken := 'outbox_session_exists';
        END IF;
        IF broken IS NOT NULL THEN
          RAISE foreign_key_violation USING
            MESSAGE = 'an event is of a merchant or a session that does not exist',
            TABLE = 'outbox_events', CONSTRAINT = broken;
        END IF;
        RETURN NULL;
      END $$`);
    for (const [table, name, columns] of [
      ["credits", "credit", "account"],
      ["outbox_events", "event", "merchant_id, session_id"],
    ]) {
      await runner.query(`
        CREATE TRIGGER ${table}_refer AFTER INSERT ON ${table}
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_${name}_references()`);
      await runner.query(`
        CREATE TRIGGER ${table}_refer_anew AFTER UPDATE OF ${columns} ON ${table}
        FOR EACH ROW EXECUTE FUNCTION check_${name}_references()`);
    }
  }

  /** The other side of it: nobody deletes these, and whoever tries is stopped as before. */
  async #parents(runner: QueryRunner): Promise<void> {
    for (const [parent, key, child, column, constraint] of [
      ["stream_cursors", "account", "credits", "account", "credits_account_is_watched"],
      ["merchants", "id", "outbox_events", "merchant_id", "outbox_merchant_exists"],
      ["checkout_sessions", "id", "outbox_events", "session_id", "outbox_session_exists"],
    ]) {
      const name = `check_${constraint}`;
      await runner.query(`
        CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF EXISTS (SELECT FROM ${child} WHERE ${column} = OLD.${key}) THEN
            RAISE foreign_key_violation USING
              MESSAGE = 'rows of ${child} still refer to it', TABLE = '${child}', CONSTRAINT = '${constraint}';
          END IF;
          RETURN NULL;
        END $$`);
      await runner.query(`
        CREATE TRIGGER ${parent}_referred_delete AFTER DELETE ON ${parent}
        FOR EACH ROW EXECUTE FUNCTION ${name}()`);
      await runner.query(`
        CREATE TRIGGER ${parent}_referred_update AFTER UPDATE OF ${key} ON ${parent}
        FOR EACH ROW WHEN (OLD.${key} <> NEW.${key}) EXECUTE FUNCTION ${name}()`);
    }
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
