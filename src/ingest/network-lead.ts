import type { DataSource } from "typeorm";
import { sleep } from "../backoff.js";
import { carriedBy } from "../horizon/read-page.js";
import { removeStreams } from "../stream/claim-stream.js";
import { networkStreams, streamsOf } from "../stream/streams.js";
import type { IngestParts } from "./feed.js";
import { joinNetwork, leaveNetwork, spreadNetwork } from "./network-members.js";
import { chooseReading, type NetworkRule, NetworkSizes, type ReadingChoice } from "./network-mode.js";

export type NetworkOptions = NetworkRule & {
  /** Of the feed. */
  readonly streams: number;
  /** How often accounts may join: each time the streams begin anew. In milliseconds. */
  readonly joinEveryMs?: number;
};

export const JOIN_EVERY_MS = 10_000;

/** Joins in one go, at the most. */
const JOINS = 50;

type Parts = Omit<IngestParts, "network">;

/** How often the network's newest payments are looked at while nobody reads them, in milliseconds. */
const SAMPLE_EVERY_MS = 600_000;

/** Payments of one look. */
const SAMPLE = 100;

/**
 * Looks after the network's feed while this process leads it: lets accounts join and leave by the rule, and has the feed
 * read while anybody is in it.
 * @param read leads the feed's ingest until its signal aborts or the feed has ended
 */
export async function leadNetwork(
  parts: Parts,
  options: NetworkOptions,
  read: (sizes: NetworkSizes, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const sizes = new NetworkSizes();
  let sampledAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  while (!signal.aborted) {
    try {
      const state = await readState(parts.dataSource);
      const isAsked = options.mode === "auto" && !state.isOn && state.watched > 1;
      if (isAsked && performance.now() - sampledAt > SAMPLE_EVERY_MS) {
        sizes.learn(carriedBy(await parts.horizon.newestPayments(SAMPLE, signal), null));
        sampledAt = performance.now();
      }
      const { ledgerMs } = parts.ledgers;
      const facts = { accounts: state.watched, ledgerMs, network: sizes.size, isOn: state.isOn };
      const choice = chooseReading(options, facts);
      parts.observer?.chose(choice);
      const isOn = await arrangeMembers(parts, options, { ...state, choice }, signal);
      if (isOn) {
        reading ??= read(sizes, signal)
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
async function arrangeMembers(
  parts: Parts,
  options: NetworkOptions,
  { isOn, choice }: NetworkState & { readonly choice: ReadingChoice },
  signal: AbortSignal,
): Promise<boolean> {
  const { dataSource, redis, logger } = parts;
  if (!choice.together) {
    if (!isOn) return false;
    const end = await leaveNetwork(dataSource);
    // Those that could not leave are still read from it, and leave with a later round.
    if (end.kind === "held") return true;
    if (end.kind === "over") await removeStreams(redis, networkStreams(end.streams));
    logger.info(
      { why: choice.why },
      "no account is read from the network's feed any more: each is read by itself",
    );
    return false;
  }
  if (isOn) {
    const former = await spreadNetwork(dataSource, options.streams);
    if (former !== null) await removeStreams(redis, networkStreams(former));
  }
  const { sequence: newest } = await parts.ledgers.first(signal);
  let count = 0;
  for (let i = 0; i < JOINS && !signal.aborted; i++) {
    const joined = await joinNetwork(dataSource, newest, options.streams);
    if (joined.length === 0) break;
    count += joined.length;
    // Entries in them that are not settled come again with the feed. Their leaders notice, and end.
    const former = joined.flatMap(({ account, shards }) => streamsOf(account, shards));
    await removeStreams(redis, former);
  }
  if (count > 0)
    logger.info(
      { accounts: count, why: choice.why },
      "accounts are read from the network's feed from now on",
    );
  return isOn || count > 0;
}

const COUNT = `
  SELECT (SELECT count(*)::int FROM stream_cursors) AS watched, EXISTS (SELECT FROM network_feed) AS is_on`;

/** How many accounts are watched, and whether any is read from the network's feed. */
export type NetworkState = { readonly watched: number; readonly isOn: boolean };

export async function readState(dataSource: DataSource): Promise<NetworkState> {
  const [row]: { watched: number; is_on: boolean }[] = await dataSource.query(COUNT);
  return { watched: row?.watched ?? 0, isOn: row?.is_on ?? false };
}
