import type { Logger } from "pino";
import type { DataSource } from "typeorm";
import { recordFinding } from "../findings/findings-log.js";
import type { RedisClient } from "../redis/client.js";
import type { RawEntry } from "./entry.js";
import { entryKeyring } from "./entry-keys.js";
import { isGenuine, keyIdOf } from "./entry-mac.js";
import { GROUP, type StreamName, streamKey, tailProofKey } from "./stream-keys.js";

export type RefusingParts = {
  readonly redis: RedisClient;
  readonly dataSource: DataSource;
  readonly logger: Logger;
};

/** Ids and fields of a forged entry that a finding shows, at the most. */
const SHOWN = 20;
const SHOWN_CHARS = 2_000;

/**
 * Separates the entries that ingest wrote from those that somebody else put into a stream. Nothing of a forged entry may
 * be read: neither its account nor what it says was paid.
 * @throws the database's error: without the keys nobody knows
 */
export async function separateForged<E extends RawEntry>(
  dataSource: DataSource,
  entries: readonly E[],
): Promise<{ genuine: E[]; forged: E[] }> {
  const keys = await entryKeyring(dataSource).accepted(
    new Set(entries.flatMap((entry) => keyIdOf(entry) ?? [])),
  );
  const [genuine, forged]: [E[], E[]] = [[], []];
  for (const entry of entries) {
    (isGenuine(keys, entry) ? genuine : forged).push(entry);
  }
  return { genuine, forged };
}

/**
 * KEYS: the stream, the proof of its tail; ARGV: the group, a tail or nothing.
 *
 * A stranger who adds an entry moves the tail, and could have removed another entry: after that the stream says
 * nothing about what was read, and every credit up to the forged id would be passed over. It begins anew, empty. Its
 * leader finds another tail than its own, and reads again after the watermark in Postgres, where everything is that is
 * not settled.
 */
const BEGIN_ANEW = `
  if ARGV[2] ~= '' and redis.call('EXISTS', KEYS[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' and info[i + 1] ~= ARGV[2] then return 0 end
    end
  end
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return 1`;

/**
 * Empties a stream, so that its leader reads again what is not settled.
 * @param tail only if the stream ends there still
 * @returns false where it does not
 */
export async function beginAnew(redis: RedisClient, stream: StreamName, tail = ""): Promise<boolean> {
  return (await redis.eval(BEGIN_ANEW, 2, streamKey(stream), tailProofKey(stream), GROUP, tail)) === 1;
}

/**
 * Refuses forged entries: each stream gets its finding first, and then begins anew. Dying in between repeats it.
 * @throws the error of Postgres or Redis: the entries are where they were
 */
export async function refuseForged(parts: RefusingParts, forged: readonly RawEntry[]): Promise<void> {
  for (const [stream, entries] of Map.groupBy(forged, ({ stream }) => stream)) {
    await reportForged(parts, stream, entries);
    await beginAnew(parts.redis, stream);
  }
}

/** Records one finding for a stream, however many entries there are: a forger must not fill the table. */
export async function reportForged(
  { dataSource, logger }: Pick<RefusingParts, "dataSource" | "logger">,
  stream: StreamName,
  forged: readonly RawEntry[],
): Promise<void> {
  const ids = forged.map(({ id }) => id);
  const [first] = forged;
  const detail = `${forged.length === 1 ? "An entry" : `${forged.length} entries`} of stream ${stream} carried no signature of ours: nothing of it was settled, and the stream was read again. Find out who writes to Redis, and close its access`;
  logger.error({ alarm: true, stream, entries: ids.slice(0, SHOWN) }, "forged entries refused");
  await recordFinding(dataSource, null, {
    kind: "entry_forged",
    subject: stream,
    action: "needs_person",
    detail,
    evidence: { entries: ids.slice(0, SHOWN), first: shown(first) },
    before: { entry: ids.at(-1) ?? null },
    after: {},
  });
}

/** As JSON without NUL, which jsonb takes none of. */
function shown(entry: RawEntry | undefined): string {
  return JSON.stringify(entry?.fields?.map((text) => text.slice(0, SHOWN_CHARS)).slice(0, SHOWN) ?? null)
    .replaceAll("\\u0000", "\\ufffd")
    .slice(0, SHOWN_CHARS);
}
