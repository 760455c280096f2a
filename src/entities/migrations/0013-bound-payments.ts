import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * What names a session, in one form: an id memo, a muxed id and a number that was typed as text are one reference
 * (src/stellar/reference.ts is the same rule for the program). The constraint on the memo itself stays for one more
 * release, since the previous version finds sessions through its index.
 * A charge on the network has a memo of its own, which its transaction must carry: no session of the account has the same.
 * Locks: SHARE on checkout_sessions while the index is built, about a second per million rows; ACCESS EXCLUSIVE on charges
 * while its new column, which is empty, is indexed.
 */
export class BoundPayments13 implements MigrationInterface {
  readonly name = "BoundPayments0000000000013";

  async up(runner: QueryRunner): Promise<void> {
    await this.#references(runner);
    await this.#chargeMemos(runner);
  }

  async #references(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION payment_reference(memo_key text) RETURNS text
      LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT CASE
          WHEN left(memo_key, 6) = 'muxed:' THEN 'id:' || substr(memo_key, 7)
          WHEN left(memo_key, 5) = 'text:' AND memo_key ~ '^text:(30|3[1-9](3[0-9]){0,19})$'
            AND (length(memo_key) < 45
              OR regexp_replace(substr(memo_key, 6), '3(.)', '\\1', 'g') COLLATE "C" <= '18446744073709551615')
            THEN 'id:' || regexp_replace(substr(memo_key, 6), '3(.)', '\\1', 'g')
          ELSE memo_key
        END $$`);
    await runner.query(`
      CREATE UNIQUE INDEX sessions_reference_unique_per_account
      ON checkout_sessions (account, payment_reference(memo_key))`);
  }

  async #chargeMemos(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE charges
        ADD COLUMN memo_key text,
        ADD CONSTRAINT charges_memo_key_is_hash CHECK (memo_key ~ '^hash:[0-9a-f]{64}$'),
        ADD CONSTRAINT charges_memo_with_account CHECK (memo_key IS NULL OR account IS NOT NULL),
        ADD CONSTRAINT charges_memo_unique_per_account UNIQUE (account, memo_key)`);
    // Between serializable transactions there is no gap: each has read what the other writes.
    for (const [table, other, name, what] of [
      ["checkout_sessions", "charges", "sessions_reference_is_no_charges", "memo_key"],
      ["charges", "checkout_sessions", "charges_memo_is_no_sessions", "payment_reference(memo_key)"],
    ]) {
      await runner.query(`
        CREATE FUNCTION check_${name}() RETURNS trigger LANGUAGE plpgsql
        SET enable_seqscan = off AS $$
        BEGIN
          IF EXISTS (SELECT FROM ${other} WHERE account = NEW.account AND ${what} = NEW.memo_key) THEN
            RAISE unique_violation USING
              MESSAGE = 'a session and a charge of one account have the same memo',
              TABLE = '${table}', CONSTRAINT = '${name}';
          END IF;
          RETURN NULL;
        END $$`);
      for (const [suffix, event] of [
        ["insert", "INSERT"],
        ["update", "UPDATE OF account, memo_key"],
      ]) {
        // Other memos than hashes are no charge's, and cost nothing here.
        await runner.query(`
          CREATE TRIGGER ${name}_${suffix} AFTER ${event} ON ${table}
          FOR EACH ROW WHEN (NEW.memo_key LIKE 'hash:%') EXECUTE FUNCTION check_${name}()`);
      }
    }
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
