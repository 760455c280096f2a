import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * How far an account's balances on the network are explained, and what moved them outside /payments.
 * Locks: SHARE ROW EXCLUSIVE on stream_cursors for the foreign keys, for milliseconds.
 */
export class Balances18 implements MigrationInterface {
  readonly name = "Balances0000000000018";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE balance_checks (
        account text PRIMARY KEY CONSTRAINT balance_checks_account_is_watched REFERENCES stream_cursors,
        -- The ledger of which all balances were explained last; null until the first time.
        ledger bigint,
        -- Stroops as text per asset at the end of that ledger, or nothing where the account has begun to exist since.
        balances jsonb,
        -- The account's sequence number then: where it is the same, the account has sent nothing since.
        sequence bigint,
        -- Effects and fees are read up to here.
        read_through bigint NOT NULL,
        -- What they came to since that ledger, per asset: credited, sent, outside, fees.
        flows jsonb NOT NULL DEFAULT '{}',
        checked_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT balance_checks_ledger_with_balances CHECK (ledger IS NULL OR balances IS NOT NULL)
      )`);
    await runner.query(`
      CREATE TABLE outside_payments (
        account text NOT NULL CONSTRAINT outside_payments_account_is_watched REFERENCES stream_cursors,
        operation_id bigint NOT NULL,
        asset text NOT NULL,
        -- The operation's type, or what its effects call it.
        type text NOT NULL,
        -- Stroops: greater than 0 arrived, less than 0 left.
        amount numeric(20) NOT NULL CONSTRAINT outside_payments_moved CHECK (amount <> 0),
        found_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT outside_payments_told_once PRIMARY KEY (account, operation_id, asset, type)
      )`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
