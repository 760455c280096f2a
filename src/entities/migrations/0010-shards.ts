import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * One account can outgrow one stream: into how many its credits are spread.
 * Locks: ACCESS EXCLUSIVE on stream_cursors, for milliseconds.
 */
export class Shards10 implements MigrationInterface {
  readonly name = "Shards0000000000010";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE stream_cursors
        ADD COLUMN shards integer NOT NULL DEFAULT 1
          CONSTRAINT cursors_shards_in_range CHECK (shards BETWEEN 1 AND 64),
        -- The streams of this many shards are not needed any more, and the leader of ingest removes them.
        ADD COLUMN former_shards integer
          CONSTRAINT cursors_former_shards_are_others CHECK (former_shards <> shards)`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
