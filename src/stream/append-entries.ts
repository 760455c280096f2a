import { UNKEYED_INDEX } from "../horizon/decode.js";
import type { RedisClient } from "../redis/client.js";
import { compareKeys, type NetworkMovement } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";
import type { TraceParent } from "../tracing.js";
import { encodeEntry, encodeNetworkEntry, entryId, type RawEntry, TRACE_FIELD } from "./entry.js";
import type { EntryKey } from "./entry-keys.js";
import { signEntry, signTail } from "./entry-mac.js";
import { GROUP, type StreamName, streamKey, tailProofKey, versionKey } from "./stream-keys.js";
import { isNetworkStream } from "./streams.js";

/**
 * The id of the newest entry ever added to a stream, or the mark up to which it was read; `0-0` where there is none.
 * Deleting entries keeps it.
 */
export type Tail = string & { readonly kind: "tail" };

export const NO_TAIL = "0-0" as Tail;

/** Of a script whose first key is a stream: its tail, as `tail`. */
export const TAIL_OF_STREAM = `
  local tail = '0-0'
  if redis.call('EXISTS', KEYS[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then tail = info[i + 1] end
    end
  end`;

/**
 * After every move that an operation can have: a tail with this index is no entry, but says that all of it was read.
 * Before what has no id of its own and goes by its predecessor's: it may come with the next page.
 */
const READ_THROUGH = UNKEYED_INDEX - 1;

/**
 * KEYS: the stream, the proof of its tail, and of a network's stream the version of its set; ARGV: expected tail, the mark
 * to set after the batch or nothing, the group, the expected version, the proof; then for each entry its id, the number
 * of its fields' texts, and those.
 *
 * The batch goes in only if the stream still ends where the batch begins. Two leaders, a failover that lost
 * the last second, a flush: each moves the tail, the append is refused, and the caller fetches again from
 * the tail that is real. Without this check any of them would leave a gap that nobody sees.
 */
const APPEND = `
  ${TAIL_OF_STREAM}
  if tail ~= ARGV[1] then return {0, tail} end
  if KEYS[3] and redis.call('GET', KEYS[3]) ~= ARGV[4] then return {0, tail} end
  local i = 6
  while i <= #ARGV do
    local fields = tonumber(ARGV[i + 1])
    tail = redis.call('XADD', KEYS[1], ARGV[i], unpack(ARGV, i + 2, i + 1 + fields))
    i = i + 2 + fields
  end
  if ARGV[2] ~= '' then
    if redis.call('EXISTS', KEYS[1]) == 0 then
      redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[3], '0', 'MKSTREAM')
    end
    redis.call('XSETID', KEYS[1], ARGV[2])
    tail = ARGV[2]
  end
  redis.call('SET', KEYS[2], ARGV[5])
  return {1, tail}`;

/** What goes along with a batch. */
export type AppendOptions = {
  /** Signs each entry, and the tail that they make. */
  readonly key: EntryKey;
  /** Goes along with each entry: beside the credit, never part of it. */
  readonly traceParent?: TraceParent | null;
  /**
   * Every movement of the stream's up to this operation is in it once these are: of several streams the quiet ones must
   * say so too, or a new leader would have to read again from where each of them heard something last.
   */
  readonly readThrough?: OperationId | null;
  /** Of the set of accounts: for the network's streams, and only for those. */
  readonly version?: string;
};

/**
 * Appends movements to a stream, if the stream's tail is the one that they were fetched after; to one of the network's
 * only if it is still of the set of accounts that they were picked for: a leader with an older set has left out what the
 * newcomers got, and its tail would say that nothing is missing.
 * @param expected the tail when the movements were fetched
 * @param movements ascending, all after `expected`
 * @returns whether they were appended, and the tail now
 */
export async function appendEntries(
  redis: RedisClient,
  stream: StreamName,
  expected: Tail,
  movements: readonly NetworkMovement[],
  { key, traceParent = null, readThrough = null, version = "" }: AppendOptions,
): Promise<{ appended: boolean; tail: Tail }> {
  const trace = traceParent === null ? [] : [TRACE_FIELD, traceParent];
  const mark = markAfter(movements, readThrough);
  const last = movements.at(-1);
  const proof = signTail(key, stream, mark || (last === undefined ? expected : entryId(last)));
  const args: (string | number)[] = [expected, mark, GROUP, version, proof];
  const isNetwork = isNetworkStream(stream);
  for (const movement of movements) {
    const id = entryId(movement);
    const own = isNetwork ? encodeNetworkEntry(movement) : encodeEntry(movement);
    const fields = signEntry(key, stream, id, [...own, ...trace]);
    args.push(id, fields.length, ...fields);
  }
  const keys = [streamKey(stream), tailProofKey(stream), ...(isNetwork ? [versionKey(stream)] : [])];
  const [appended, tail] = (await redis.eval(APPEND, keys.length, ...keys, ...args)) as [number, Tail];
  return { appended: appended === 1, tail };
}

/** The mark, or nothing where the batch ends after it anyhow: Redis takes no tail below an entry. */
function markAfter(movements: readonly NetworkMovement[], readThrough: OperationId | null): string {
  if (readThrough === null) return "";
  const mark = { operationId: readThrough, moveIndex: READ_THROUGH };
  const last = movements.at(-1);
  return last !== undefined && compareKeys(last, mark) > 0 ? "" : entryId(mark);
}

/** Where a stream stands. */
export type StreamPosition = {
  readonly stream: StreamName;
  readonly tail: Tail;
  /** The oldest entry that is not yet settled; null when there is none. */
  readonly oldest: RawEntry | null;
};

/** Reads tail and oldest entry at one instant. A stream that is not there stands at the beginning. */
export async function readPosition(redis: RedisClient, stream: StreamName): Promise<StreamPosition> {
  const key = streamKey(stream);
  let info: unknown[];
  try {
    info = (await redis.xinfo("STREAM", key)) as unknown[];
  } catch (error) {
    if (error instanceof Error && error.message.includes("no such key"))
      return { stream, tail: NO_TAIL, oldest: null };
    throw error;
  }
  const fields = new Map<unknown, unknown>();
  for (let i = 0; i + 1 < info.length; i += 2) fields.set(info[i], info[i + 1]);
  const first = fields.get("first-entry");
  return {
    stream,
    tail: String(fields.get("last-generated-id")) as Tail,
    oldest: Array.isArray(first) ? { stream, id: first[0], fields: first[1] } : null,
  };
}

/** Where each of several streams stands, each read at one instant of its own. */
export async function readPositions(
  redis: RedisClient,
  streams: readonly StreamName[],
): Promise<StreamPosition[]> {
  return Promise.all(streams.map((stream) => readPosition(redis, stream)));
}
