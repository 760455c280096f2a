import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * Whether each receiving account can be paid, as the network said when it was asked last.
 * Locks: ACCESS EXCLUSIVE on receiving_accounts, for milliseconds: it holds a row for each account.
 */
export class Payable17 implements MigrationInterface {
  readonly name = "Payable0000000000017";

  async up(runner: QueryRunner): Promise<void> {
    // The account that was asked for longest ago comes first; a new one, and one with new assets, before all.
    await runner.query(`ALTER TABLE receiving_accounts ADD COLUMN asked_at timestamptz`);
    await runner.query(
      `CREATE INDEX receiving_accounts_by_asked_at ON receiving_accounts (asked_at NULLS FIRST)`,
    );
    await runner.query(`
      CREATE TABLE receiving_states (
        account text NOT NULL CONSTRAINT receiving_states_account_registered
          REFERENCES receiving_accounts (account) ON DELETE CASCADE,
        asset text NOT NULL,
        -- Why nothing of this asset can arrive; null where it can.
        obstacle text CONSTRAINT receiving_states_obstacle_known CHECK (obstacle IN
          ('account_missing', 'no_trustline', 'issuer_missing', 'not_authorized', 'limit_reached', 'limit_too_low')),
        -- Stroops that can still arrive: a payment of more does not.
        room bigint NOT NULL CONSTRAINT receiving_states_room_not_negative CHECK (room >= 0),
        checked_at timestamptz NOT NULL DEFAULT now(),
        -- Since when it has been so.
        since timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (account, asset)
      )`);
    await runner.query(
      `CREATE INDEX receiving_states_in_the_way ON receiving_states (since) WHERE obstacle IS NOT NULL`,
    );
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
