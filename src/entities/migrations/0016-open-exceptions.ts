import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * Which exceptions wait for a verdict, and which refunds are owed, by indexes that hold nothing else: the status counts both
 * every second, whatever the history.
 *
 * Locks: ACCESS EXCLUSIVE on payment_exceptions and exception_verdicts for milliseconds, for their new columns. What was
 * decided before is marked in batches, while everybody goes on. SHARE on both while the indexes are built: about a second
 * per million exceptions.
 *
 * Not one transaction, so an interruption can leave the first steps behind. They harm nobody, and the next run begins anew.
 */
export class OpenExceptions16 implements MigrationInterface {
  readonly name = "OpenExceptions0000000000016";
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`${COLUMNS}; ${TRIGGERS}`);
    let last: Key | undefined = { operation_id: "0", move_index: -1 };
    while (last !== undefined) last = await markBatch(runner, last);
    await runner.query(`
      CREATE INDEX IF NOT EXISTS exceptions_open ON payment_exceptions (reason, raised_at) WHERE NOT decided;
      CREATE INDEX IF NOT EXISTS verdicts_refund_owed ON exception_verdicts (owed_asset, owed_amount)
        WHERE owed_asset IS NOT NULL`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}

type Key = { readonly operation_id: string; readonly move_index: number };

const COLUMNS = `
  -- Whether it has a verdict. Kept by the triggers below.
  ALTER TABLE payment_exceptions ADD COLUMN IF NOT EXISTS decided boolean NOT NULL DEFAULT false;
  ALTER TABLE exception_verdicts
    -- What is owed to the sender, as the credit has it; null where nothing is.
    ADD COLUMN IF NOT EXISTS owed_asset text,
    ADD COLUMN IF NOT EXISTS owed_amount bigint`;

/**
 * By triggers, so that a hand in the database and the previous version of the program keep both too. Never by a plan that
 * scans a whole table: it would make every verdict conflict with every settlement.
 */
const TRIGGERS = `
  CREATE OR REPLACE FUNCTION mark_decided() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off AS $$
  BEGIN
    IF TG_OP = 'DELETE' THEN
      UPDATE payment_exceptions SET decided = false
      WHERE operation_id = OLD.operation_id AND move_index = OLD.move_index;
      RETURN OLD;
    END IF;
    UPDATE payment_exceptions SET decided = true
    WHERE operation_id = NEW.operation_id AND move_index = NEW.move_index AND NOT decided;
    IF NEW.verdict = 'refund' THEN
      SELECT asset, amount INTO NEW.owed_asset, NEW.owed_amount FROM credits
      WHERE operation_id = NEW.operation_id AND move_index = NEW.move_index;
    END IF;
    RETURN NEW;
  END $$;
  CREATE OR REPLACE TRIGGER verdicts_decide BEFORE INSERT ON exception_verdicts
    FOR EACH ROW EXECUTE FUNCTION mark_decided();
  CREATE OR REPLACE TRIGGER verdicts_reopen AFTER DELETE ON exception_verdicts
    FOR EACH ROW EXECUTE FUNCTION mark_decided()`;

/** In the order of the key: each verdict is looked at once, however many there are. */
const MARK_BATCH = `
  WITH batch AS (
    SELECT v.operation_id, v.move_index, v.verdict FROM exception_verdicts v
    WHERE (v.operation_id, v.move_index) > ($1::bigint, $2::integer)
    ORDER BY v.operation_id, v.move_index LIMIT 5000
  ), marked AS (
    UPDATE payment_exceptions e SET decided = true FROM batch b
    WHERE e.operation_id = b.operation_id AND e.move_index = b.move_index AND NOT e.decided
  ), owed AS (
    UPDATE exception_verdicts v SET owed_asset = c.asset, owed_amount = c.amount
    FROM batch b JOIN credits c USING (operation_id, move_index)
    WHERE v.operation_id = b.operation_id AND v.move_index = b.move_index AND b.verdict = 'refund'
  )
  SELECT operation_id::text AS operation_id, move_index FROM batch b
  ORDER BY b.operation_id DESC, b.move_index DESC LIMIT 1`;

/** @returns the last verdict that was looked at; undefined where there was none after `last` */
async function markBatch(runner: QueryRunner, last: Key): Promise<Key | undefined> {
  const [next]: Key[] = await runner.query(MARK_BATCH, [last.operation_id, last.move_index]);
  return next;
}
