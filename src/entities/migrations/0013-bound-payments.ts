import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * What names a session, in one form: an id memo, a muxed id and a number that was typed as text are one reference
 * (src/stellar/reference.ts is the same rule for the program). The constraint on the memo itself stays for one more
 * release, since the previous version finds sessions through its index.
 * Locks: SHARE on checkout_sessions while the index is built, about a second per million rows.
 */
export class BoundPayments13 implements MigrationInterface {
  readonly name = "BoundPayments0000000000013";

  async up(runner: QueryRunner): Promise<void> {
    await this.#references(runner);
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

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
