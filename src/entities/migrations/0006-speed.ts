import type { MigrationInterface, QueryRunner } from "typeorm";

/**
 * What each payment costs Postgres: checks that say the same as before in a form that is cheaper to judge, and no index
 * entries for what is not there yet.
 * Locks: ACCESS EXCLUSIVE on credits, checkout_sessions and outbox_events, while checks are validated and indexes built:
 * seconds per million rows. Consumers wait meanwhile, and retry.
 */
export class Speed6 implements MigrationInterface {
  readonly name = "Speed0000000000006";

  async up(runner: QueryRunner): Promise<void> {
    // An UPDATE judges all checks of its row again. A pattern is compiled into states anew each time it is matched, and
    // these were a tenth of what settlement costs.
    await runner.query(`
      ALTER TABLE credits
        DROP CONSTRAINT credits_transaction_hash_form,
        ADD CONSTRAINT credits_transaction_hash_form CHECK (${isHex64("transaction_hash")})`);
    await runner.query(`
      ALTER TABLE checkout_sessions
        DROP CONSTRAINT sessions_memo_key_canonical,
        ADD CONSTRAINT sessions_memo_key_canonical CHECK (CASE split_part(memo_key, ':', 1)
          WHEN 'id' THEN ${isCount("substr(memo_key, 4)")}
          WHEN 'muxed' THEN ${isCount("substr(memo_key, 7)")}
          WHEN 'hash' THEN ${isHex64("substr(memo_key, 6)")}
          WHEN 'text' THEN length(memo_key) BETWEEN 7 AND 61 AND length(memo_key) % 2 = 1
            AND ${isOnly("substr(memo_key, 6)", HEX)}
          ELSE false END),
        DROP CONSTRAINT sessions_asset_has_issuer,
        ADD CONSTRAINT sessions_asset_has_issuer CHECK (asset = 'native' OR (
          strpos(asset, ':') BETWEEN 2 AND 13 AND ${isOnly("split_part(asset, ':', 1)", `${LETTERS}${DIGITS}`)}
          AND length(${ISSUER}) = 56 AND starts_with(${ISSUER}, 'G') AND ${isOnly(ISSUER, BASE32)}))`);
    await runner.query(`
      ALTER TABLE outbox_events
        DROP CONSTRAINT outbox_subject_is_the_charge,
        ADD CONSTRAINT outbox_subject_is_the_charge CHECK
          (NOT starts_with(type, 'charge.') OR (charge_id IS NOT NULL AND subject = charge_id::text))`);

    // An event has no position until it is numbered. Without the condition each was entered twice, first as nothing.
    await runner.query(`ALTER TABLE outbox_events DROP CONSTRAINT outbox_position_unique`);
    await runner.query(
      `CREATE UNIQUE INDEX outbox_position_unique ON outbox_events (position) WHERE position IS NOT NULL`,
    );
    await runner.query(`DROP INDEX outbox_by_merchant`);
    await runner.query(
      `CREATE INDEX outbox_by_merchant ON outbox_events (merchant_id, position) WHERE position IS NOT NULL`,
    );
    // A session without metadata is found by none. Any change of a session wrote into this index.
    await runner.query(`DROP INDEX sessions_by_metadata`);
    await runner.query(`
      CREATE INDEX sessions_by_metadata ON checkout_sessions USING gin (metadata jsonb_path_ops)
      WHERE metadata <> '{}'`);
  }

  async down(): Promise<void> {
    throw new Error("migrations go forward only: restore a backup, or write the next migration");
  }
}

const DIGITS = "0123456789";
const HEX = `${DIGITS}abcdef`;
const CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LETTERS = `${CAPITALS}${CAPITALS.toLowerCase()}`;
const BASE32 = `${CAPITALS}234567`;
const ISSUER = "substr(asset, strpos(asset, ':') + 1)";

/** Nothing is left once these are taken away. */
function isOnly(text: string, characters: string): string {
  return `translate(${text}, '${characters}', '') = ''`;
}

/** As ^[0-9a-f]{64}$ */
function isHex64(text: string): string {
  return `length(${text}) = 64 AND ${isOnly(text, HEX)}`;
}

/** As ^(0|[1-9][0-9]{0,19})$ */
function isCount(text: string): string {
  return `length(${text}) BETWEEN 1 AND 20 AND ${isOnly(text, DIGITS)} AND (${text} = '0' OR NOT starts_with(${text}, '0'))`;
}
