import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * Sessions that are paid and sessions that are not settled, listed in tables of their own: what becomes paid touches no
 * index that another settlement reads.
 * Locks: ACCESS EXCLUSIVE on checkout_sessions while both tables are filled: seconds per million rows. Consumers wait
 * meanwhile, and retry.
 */
export class Settled7 implements MigrationInterface {
  readonly name = "Settled0000000000007";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("LOCK TABLE checkout_sessions IN ACCESS EXCLUSIVE MODE");
    await this.#tables(runner);
    await this.#triggers(runner);
    // While a status stood in an index, each payment wrote a new entry into every index of the table, also into the
    // pages by which other settlements find their sessions, and two settlements at once conflicted nearly always.
    await runner.query(`
      DROP INDEX sessions_pending_by_expiry, sessions_processing, sessions_contradictory, sessions_paid, sessions_by_status`);
    // Room in each page for a second, longer version of each of its rows: then the update is HOT, and writes into no index at all.
    await runner.query("ALTER TABLE checkout_sessions SET (fillfactor = 45)");
  }

  async #tables(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE unsettled_sessions (
        session_id uuid CONSTRAINT unsettled_listed_once PRIMARY KEY,
        merchant_id uuid NOT NULL,
        account text NOT NULL,
        status text NOT NULL,
        has_payment boolean NOT NULL,
        -- No ledger that closes later can pay it.
        last_moment timestamptz NOT NULL,
        processing_since timestamptz
      ) WITH (autovacuum_vacuum_scale_factor = 0.02)`);
    await runner.query(`
      CREATE TABLE paid_sessions (
        merchant_id uuid NOT NULL,
        session_id uuid NOT NULL,
        CONSTRAINT paid_listed_once PRIMARY KEY (merchant_id, session_id)
      )`);
    await runner.query(`
      INSERT INTO unsettled_sessions SELECT ${UNSETTLED_COLUMNS} FROM checkout_sessions WHERE NOT (${IS_SETTLED}) ORDER BY id`);
    await runner.query(`
      INSERT INTO paid_sessions SELECT merchant_id, id FROM checkout_sessions WHERE status = 'paid' ORDER BY id`);
    await runner.query(
      "CREATE INDEX unsettled_by_status ON unsettled_sessions (merchant_id, status, session_id)",
    );
    // Serves expiry.
    await runner.query(
      "CREATE INDEX unsettled_pending ON unsettled_sessions (account, last_moment) WHERE status = 'pending'",
    );
    await runner.query(
      "CREATE INDEX unsettled_processing ON unsettled_sessions (processing_since) WHERE status = 'processing'",
    );
    // G2 both ways, as an index: it holds what contradicts it, and is empty.
    await runner.query(
      "CREATE INDEX unsettled_contradictory ON unsettled_sessions (session_id) WHERE has_payment OR status = 'paid'",
    );
    await runner.query("ANALYZE unsettled_sessions, paid_sessions");
  }

  /**
   * Kept by triggers, so that a hand in the database and an older version of the program keep them too. By statement: a
   * batch costs one call. Never by a plan that scans a whole table: it costs little while that is small, is kept while it
   * grows, and makes every settlement conflict with every other.
   */
  async #triggers(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION list_sessions() RETURNS trigger LANGUAGE plpgsql
      SET enable_seqscan = off AS $$
      BEGIN
        IF TG_OP = 'UPDATE' THEN
          DELETE FROM unsettled_sessions
          WHERE session_id = ANY (ARRAY(SELECT id FROM changed WHERE ${IS_SETTLED}));
          DELETE FROM paid_sessions
          WHERE session_id = ANY (ARRAY(SELECT id FROM changed WHERE status <> 'paid'))
            AND merchant_id = ANY (ARRAY(SELECT merchant_id FROM changed WHERE status <> 'paid'));
        END IF;
        INSERT INTO paid_sessions SELECT merchant_id, id FROM changed WHERE status = 'paid' ORDER BY id
        ON CONFLICT ON CONSTRAINT paid_listed_once DO NOTHING;
        INSERT INTO unsettled_sessions SELECT ${UNSETTLED_COLUMNS} FROM changed WHERE NOT (${IS_SETTLED}) ORDER BY id
        ON CONFLICT ON CONSTRAINT unsettled_listed_once DO UPDATE
        SET status = excluded.status, has_payment = excluded.has_payment, last_moment = excluded.last_moment,
            processing_since = excluded.processing_since;
        RETURN NULL;
      END $$`);
    for (const [name, event] of [
      ["sessions_listed", "INSERT"],
      ["sessions_listed_anew", "UPDATE"],
    ]) {
      await runner.query(`
        CREATE TRIGGER ${name} AFTER ${event} ON checkout_sessions REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION list_sessions()`);
    }
    await runner.query(`
      CREATE FUNCTION unlist_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'TRUNCATE' THEN
          TRUNCATE unsettled_sessions, paid_sessions;
        ELSE
          DELETE FROM unsettled_sessions WHERE session_id = OLD.id;
          DELETE FROM paid_sessions WHERE merchant_id = OLD.merchant_id AND session_id = OLD.id;
        END IF;
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE TRIGGER sessions_unlisted AFTER DELETE ON checkout_sessions
      FOR EACH ROW EXECUTE FUNCTION unlist_sessions()`);
    await runner.query(`
      CREATE TRIGGER sessions_unlisted_all AFTER TRUNCATE ON checkout_sessions
      FOR EACH STATEMENT EXECUTE FUNCTION unlist_sessions()`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}

/** Paid, and with something to show for it. */
const IS_SETTLED = "status = 'paid' AND has_payment";

/** In the order of the table's own. */
const UNSETTLED_COLUMNS = `id, merchant_id, account, status, has_payment,
          expires_at + make_interval(secs => grace_seconds), processing_since`;
