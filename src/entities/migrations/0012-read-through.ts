import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * How far each account, and the network's feed, has been read: Horizon does not say with a page how far it is, so that the
 * watermark of a quiet account stands still for long, and audits ended at its last credit.
 * Locks: ACCESS EXCLUSIVE on stream_cursors and network_feed, for milliseconds: a column with a constant default rewrites
 * no row.
 */
export class ReadThrough12 implements MigrationInterface {
  readonly name = "ReadThrough0000000000012";

  async up(runner: QueryRunner): Promise<void> {
    for (const [table, constraint] of [
      ["stream_cursors", "cursors_read_through_not_negative"],
      ["network_feed", "network_read_through_not_negative"],
    ]) {
      // The greater one of it and the watermark holds: 0 says that nothing more is known.
      await runner.query(`
        ALTER TABLE ${table} ADD COLUMN read_through bigint NOT NULL DEFAULT 0
          CONSTRAINT ${constraint} CHECK (read_through >= 0)`);
    }
    // Of an account in the network's feed its own column says how far it was read before it joined.
    await runner.query(`
      CREATE OR REPLACE VIEW watched_cursors AS
      SELECT c.account, c.starting_cursor,
             greatest(c.watermark, n.watermark) AS watermark,
             greatest(c.settled_through, n.settled_through) AS settled_through,
             c.halted_because, c.halted_at, c.shards, c.former_shards, c.in_network,
             CASE WHEN c.in_network THEN greatest(c.watermark, n.watermark, n.read_through)
                  ELSE greatest(c.watermark, c.read_through) END AS read_through
      FROM stream_cursors c LEFT JOIN network_feed n ON c.in_network`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
