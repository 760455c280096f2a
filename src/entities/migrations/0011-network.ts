import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * Many accounts are read together, from the feed of the whole network: how far that is read stands in one row, whatever
 * the number of accounts.
 * Locks: ACCESS EXCLUSIVE on stream_cursors, for milliseconds; a row for each account is read for the index.
 */
export class Network11 implements MigrationInterface {
  readonly name = "Network0000000000011";

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE stream_cursors ADD COLUMN in_network boolean NOT NULL DEFAULT false`);

    // Consumers and ingest ask for these every two seconds; of the others there may be a hundred thousand.
    await runner.query(
      `CREATE INDEX cursors_outside_network ON stream_cursors (account) WHERE NOT in_network`,
    );

    await runner.query(`
      CREATE TABLE network_feed (
        is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT network_feed_is_one CHECK (is_only),
        -- Every credit at or below it is committed, of every account that is in the network's feed.
        watermark bigint NOT NULL CONSTRAINT network_watermark_not_negative CHECK (watermark >= 0),
        settled_through timestamptz,
        -- Which set of accounts it is read for. What was read for another set proves nothing about this one.
        set_version bigint NOT NULL,
        streams integer NOT NULL CONSTRAINT network_streams_in_range CHECK (streams BETWEEN 1 AND 64),
        halted_because text,
        halted_at timestamptz,
        CONSTRAINT network_halted_with_reason CHECK ((halted_because IS NULL) = (halted_at IS NULL))
      )`);

    // A sequence goes on where the row was removed and made anew: no version ever names two sets.
    await runner.query(`CREATE SEQUENCE network_set_versions OWNED BY network_feed.set_version`);

    /*
     * How far the truth reaches for each account. Its own columns hold that alone where it is read by itself: of an
     * account in the network's feed they stand where they stood when it joined. A version of the program that knows
     * neither reads those, which are lower: it expires later and audits less, and is never wrong.
     */
    await runner.query(`
      CREATE VIEW watched_cursors AS
      SELECT c.account, c.starting_cursor,
             greatest(c.watermark, n.watermark) AS watermark,
             greatest(c.settled_through, n.settled_through) AS settled_through,
             c.halted_because, c.halted_at, c.shards, c.former_shards, c.in_network
      FROM stream_cursors c LEFT JOIN network_feed n ON c.in_network`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}
