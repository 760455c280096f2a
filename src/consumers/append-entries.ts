import type { Redis } from "ioredis";
import type { AccountId, Movement } from "../stellar/credit.js";
import type { TraceParent } from "../tracing.js";
import { encodeEntry, entryId, type RawEntry, TRACE_FIELD } from "./entry.js";
import { streamKey } from "./stream-keys.js";

/** The id of the newest entry ever added to a stream, `0-0` where there is none. Deleting entries keeps it. */
export type Tail = string & { readonly kind: "tail" };

export const NO_TAIL = "0-0" as Tail;

/**
 * KEYS[1] stream; ARGV: expected tail, then for each entry its id, the number of its fields' texts, and those.
 *
 * The batch goes in only if the stream still ends where the batch begins. Two leaders, a failover that lost
 * the last second, a flush: each moves the tail, the append is refused, and the caller fetches again from
 * the tail that is real. Without this check any of them would leave a gap that nobody sees.
 */
const APPEND = `
  local tail = '0-0'
  if redis.call('EXISTS', KEYS[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then tail = info[i + 1] end
    end
  end
  if tail ~= ARGV[1] then return {0, tail} end
  local i = 2
  while i <= #ARGV do
    local fields = tonumber(ARGV[i + 1])
    tail = redis.call('XADD', KEYS[1], ARGV[i], unpack(ARGV, i + 2, i + 1 + fields))
    i = i + 2 + fields
  end
  return {1, tail}`;

/**
 * Appends movements to their account's stream, if the stream's tail is the one that they were fetched after.
 * @param expected the tail when the movements were fetched
 * @param movements ascending, all after `expected`
 * @param traceParent goes along with each entry, where there is one: beside the credit, never part of it
 * @returns whether they were appended, and the tail now
 */
export async function appendEntries(
  redis: Redis,
  account: AccountId,
  expected: Tail,
  movements: readonly Movement[],
  traceParent: TraceParent | null = null,
): Promise<{ appended: boolean; tail: Tail }> {
  const trace = traceParent === null ? [] : [TRACE_FIELD, traceParent];
  const args: (string | number)[] = [expected];
  for (const movement of movements) {
    const fields = [...encodeEntry(movement), ...trace];
    args.push(entryId(movement), fields.length, ...fields);
  }
  const [appended, tail] = (await redis.eval(APPEND, 1, streamKey(account), ...args)) as [number, Tail];
  return { appended: appended === 1, tail };
}

/** Where a stream stands. */
export type StreamPosition = {
  readonly tail: Tail;
  /** The oldest entry that is not yet settled; null when there is none. */
  readonly oldest: RawEntry | null;
};

/** Reads tail and oldest entry at one instant. A stream that is not there stands at the beginning. */
export async function readPosition(redis: Redis, account: AccountId): Promise<StreamPosition> {
  const key = streamKey(account);
  let info: unknown[];
  try {
    info = (await redis.xinfo("STREAM", key)) as unknown[];
  } catch (error) {
    if (error instanceof Error && error.message.includes("no such key"))
      return { tail: NO_TAIL, oldest: null };
    throw error;
  }
  const fields = new Map<unknown, unknown>();
  for (let i = 0; i + 1 < info.length; i += 2) fields.set(info[i], info[i + 1]);
  const first = fields.get("first-entry");
  return {
    tail: String(fields.get("last-generated-id")) as Tail,
    oldest: Array.isArray(first) ? (first as RawEntry) : null,
  };
}
