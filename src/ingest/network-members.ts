import type { DataSource } from "typeorm";
import type { AccountId } from "../stellar/credit.js";
import { endOfLedger, type LedgerSequence, type OperationId } from "../stellar/operation-id.js";

/**
 * How far behind the newest ledger an account may be that joins, about an hour: the feed goes back to where the last of
 * them is, and reads that part again. Others catch up by themselves first.
 */
export const JOINS_WITHIN = 720;

/** The same where nobody is in the feed yet, and there is nothing to read again: about a day. */
export const BEGINS_WITHIN = 17_280;

/** Accounts of one transaction: its statement must end long before it times out. */
const JOIN_AT_ONCE = 20_000;

/** One join or leave at a time: the second would count with the cursor that the first changes. */
const ONE_AT_A_TIME = `SELECT pg_advisory_xact_lock(hashtextextended('paidonce network members', 0))`;

/**
 * Takes accounts into the feed. The feed's own cursor goes back to the last of them, in one transaction with the new
 * version: whatever is known of the feed from now on is known of them too. Going back costs reading again, and is
 * never wrong; least() passes over NULL, which here means "nothing known". NO KEY: settlements that refer to an account
 * must not wait for its join, or be undone by it. SKIP LOCKED: one that somebody holds on to joins later, and keeps no
 * other from it.
 *
 * $1 the least watermark of those that may join, $2 how many streams where it begins anew
 */
const JOIN = `
  WITH joining AS (
    SELECT account, watermark, settled_through FROM stream_cursors
    WHERE NOT in_network AND halted_because IS NULL AND former_shards IS NULL AND watermark >= $1::bigint
    ORDER BY account LIMIT ${JOIN_AT_ONCE} FOR NO KEY UPDATE SKIP LOCKED
  ), joined AS (
    UPDATE stream_cursors c SET in_network = true FROM joining j WHERE c.account = j.account
    RETURNING c.account, c.shards
  ), last AS (
    SELECT min(watermark) AS watermark,
           CASE WHEN bool_and(settled_through IS NOT NULL) THEN min(settled_through) END AS settled_through
    FROM joining HAVING count(*) > 0
  ), moved AS (
    INSERT INTO network_feed AS n (watermark, settled_through, set_version, streams)
    SELECT watermark, settled_through, nextval('network_set_versions'), $2::integer FROM last
    ON CONFLICT (is_only) DO UPDATE SET
      watermark = least(n.watermark, excluded.watermark),
      -- What was read for the others says nothing of the newcomers.
      read_through = least(n.read_through, excluded.watermark),
      settled_through = CASE WHEN n.settled_through IS NOT NULL AND excluded.settled_through IS NOT NULL
                             THEN least(n.settled_through, excluded.settled_through) END,
      set_version = excluded.set_version
    RETURNING set_version
  )
  SELECT account, shards FROM joined, moved`;

const WATERMARK = `SELECT watermark FROM network_feed FOR UPDATE`;

export type Joined = { readonly account: AccountId; readonly shards: number };

/**
 * Lets accounts that are near enough to the network's newest ledger join the network's feed, so many as one transaction
 * takes. Nothing joins while the feed itself is far behind: its backlog would be read again for them.
 * @param streams of the feed, where it begins with this
 * @returns who has joined
 */
export async function joinNetwork(
  dataSource: DataSource,
  newest: LedgerSequence,
  streams: number,
): Promise<readonly Joined[]> {
  return dataSource.transaction(async (manager) => {
    await manager.query(ONE_AT_A_TIME);
    const [feed]: { watermark: string }[] = await manager.query(WATERMARK);
    const within = endBefore(newest, feed === undefined ? BEGINS_WITHIN : JOINS_WITHIN);
    if (feed !== undefined && BigInt(feed.watermark) < within) return [];
    return manager.query<Joined[]>(JOIN, [within.toString(), streams]);
  });
}

function endBefore(newest: LedgerSequence, ledgers: number): OperationId {
  return endOfLedger(Math.max(0, newest - ledgers) as LedgerSequence);
}

/** Each of them goes on from where the feed is committed, and reads the rest by itself. */
const LEAVE = `
  UPDATE stream_cursors c
  SET in_network = false, watermark = greatest(c.watermark, n.watermark),
      read_through = greatest(c.read_through, n.read_through),
      settled_through = greatest(c.settled_through, n.settled_through)
  FROM network_feed n
  WHERE c.account IN (
    SELECT account FROM stream_cursors WHERE in_network LIMIT ${JOIN_AT_ONCE} FOR NO KEY UPDATE SKIP LOCKED)`;

const IS_ANY_LEFT = "SELECT EXISTS (SELECT FROM stream_cursors WHERE in_network) AS is_any";

export type Left =
  /** The feed is over; it had so many streams, to be removed. */
  | { readonly kind: "over"; readonly streams: number }
  /** Somebody holds on to the rows of accounts that are in it: it goes on for them. */
  | { readonly kind: "held" }
  | { readonly kind: "no_feed" };

/**
 * Gives every account back to itself, and ends the feed. May break off in between: the feed goes on for those that are
 * still in it, and what it brings to the others counts once all the same.
 */
export async function leaveNetwork(dataSource: DataSource): Promise<Left> {
  for (;;) {
    const end = await dataSource.transaction(async (manager): Promise<Left | null> => {
      await manager.query(ONE_AT_A_TIME);
      const [feed]: { streams: number }[] = await manager.query(
        "SELECT streams FROM network_feed FOR UPDATE",
      );
      if (feed === undefined) return { kind: "no_feed" };
      const [, left]: [unknown, number] = await manager.query(LEAVE);
      if (left > 0) return null;
      const [row]: { is_any: boolean }[] = await manager.query(IS_ANY_LEFT);
      if (row?.is_any !== false) return { kind: "held" };
      await manager.query("DELETE FROM network_feed");
      return { kind: "over", streams: feed.streams };
    });
    if (end !== null) return end;
  }
}

const SPREAD = `
  UPDATE network_feed n SET streams = $1::integer, set_version = nextval('network_set_versions')
  FROM (SELECT streams FROM network_feed FOR UPDATE) AS old
  WHERE n.streams <> $1::integer RETURNING old.streams AS former`;

/**
 * Spreads the feed over so many streams from now on: as if it were read for another set, from the watermark.
 * @returns how many there were, to be removed; null where nothing changed
 */
export async function spreadNetwork(dataSource: DataSource, streams: number): Promise<number | null> {
  const [rows]: [{ former: number }[]] = await dataSource.query(SPREAD, [streams]);
  return rows[0]?.former ?? null;
}

/**
 * Goes past a version that the streams know and Postgres does not, as after a restore: without it every claim would be
 * refused as out of date, for ever.
 * @param mine as it was read; nothing happens if it is another by now
 */
export async function passVersion(dataSource: DataSource, mine: bigint, stored: bigint): Promise<void> {
  await dataSource.query(
    `UPDATE network_feed
     SET set_version = setval('network_set_versions', greatest($2::bigint + 1, nextval('network_set_versions')))
     WHERE set_version = $1::bigint`,
    [mine.toString(), stored.toString()],
  );
}
