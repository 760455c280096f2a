import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import type { NetworkView } from "../horizon/network-view.js";
import type { RedisClient } from "../redis/client.js";
import { removeStreams } from "./claim-stream.js";
import { joinNetwork, leaveNetwork, spreadNetwork } from "./network-members.js";
import { type NetworkRule, wantsNetwork } from "./network-mode.js";
import { networkStreams } from "./network-streams.js";
import { streamsOf } from "./shards.js";
import { streamKey } from "./stream-keys.js";

export type NetworkOptions = NetworkRule & {
  /** Of the feed. */
  readonly streams: number;
  /** How often accounts may join: each time the streams begin anew. In milliseconds. */
  readonly joinEveryMs?: number;
};

export const JOIN_EVERY_MS = 10_000;

/** Joins in one go, at the most. */
const JOINS = 50;

type Parts = {
  readonly redis: RedisClient;
  readonly dataSource: DataSource;
  readonly network: NetworkView;
  readonly logger: Logger;
};

/**
 * Looks after the network's feed while this process leads it: lets accounts join and leave by the rule, and has the feed
 * read while anybody is in it.
 * @param read leads the feed's ingest until its signal aborts or the feed has ended
 */
export async function leadNetwork(
  parts: Parts,
  options: NetworkOptions,
  read: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let reading: Promise<void> | null = null;
  while (!signal.aborted) {
    try {
      const isOn = await arrangeMembers(parts, options, signal);
      if (isOn) {
        reading ??= read(signal)
          .catch((error: unknown) => parts.logger.error({ err: error }, "the network's feed broke off"))
          .finally(() => {
            reading = null;
          });
      }
    } catch (error) {
      if (!signal.aborted) parts.logger.warn({ err: error }, "can't look after who is in the network's feed");
    }
    await sleep(options.joinEveryMs ?? JOIN_EVERY_MS, signal);
  }
  await reading;
}

/** @returns whether anybody is in the feed now */
async function arrangeMembers(parts: Parts, options: NetworkOptions, signal: AbortSignal): Promise<boolean> {
  const { dataSource, redis, logger } = parts;
  const { isOn, isWanted } = await readMode(dataSource, options);
  if (!isWanted) {
    if (!isOn) return false;
    const streams = await leaveNetwork(dataSource);
    if (streams !== null) await removeStreams(redis, networkStreams(streams));
    logger.info("no account is read from the network's feed any more: each is read by itself");
    return false;
  }
  if (isOn) {
    const former = await spreadNetwork(dataSource, options.streams);
    if (former !== null) await removeStreams(redis, networkStreams(former));
  }
  const { historyLatestLedger } = await parts.network.current(signal);
  let count = 0;
  for (let i = 0; i < JOINS && !signal.aborted; i++) {
    const joined = await joinNetwork(dataSource, historyLatestLedger, options.streams);
    if (joined.length === 0) break;
    count += joined.length;
    // What is in them and not settled comes again with the feed. Their leaders notice, and end.
    const keys = joined.flatMap(({ account, shards }) => streamsOf(account, shards).map(streamKey));
    await Promise.all(keys.map((key) => redis.unlink(key)));
  }
  if (count > 0) logger.info({ accounts: count }, "accounts are read from the network's feed from now on");
  return isOn || count > 0;
}

const COUNT = `
  SELECT (SELECT count(*)::int FROM stream_cursors) AS watched, EXISTS (SELECT FROM network_feed) AS is_on`;

/** What the rule says now. */
export async function readMode(
  dataSource: DataSource,
  rule: NetworkRule,
): Promise<{ readonly isOn: boolean; readonly isWanted: boolean }> {
  const [row]: { watched: number; is_on: boolean }[] = await dataSource.query(COUNT);
  const isOn = row?.is_on ?? false;
  return { isOn, isWanted: wantsNetwork(rule, row?.watched ?? 0, isOn) };
}
