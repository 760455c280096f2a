import { decodeEntry, type RawEntry, type StreamEntry } from "../stream/entry.js";
import { type RefusingParts, separateForged } from "../stream/forged-entries.js";
import { deadLetterUnnamed } from "./dead-letters.js";

/**
 * Verifies and decodes what Redis gave, once: after this no entry is parsed again.
 * @returns the decoded entries, and the forged ones for `refuseForged`. Refuse those last: the stream begins anew by it
 * @throws the error of Postgres or Redis: nothing is lost, call again
 */
export async function receiveEntries(
  parts: RefusingParts,
  received: readonly RawEntry[],
): Promise<{ entries: StreamEntry[]; forged: RawEntry[] }> {
  if (received.length === 0) return { entries: [], forged: [] };
  const { genuine, forged } = await separateForged(parts.dataSource, received);
  return { entries: await decodeGenuine(parts, genuine), forged };
}

/** Decodes entries that are known to be genuine; those that name no account go to the dead letters. */
export async function decodeGenuine(
  parts: RefusingParts,
  genuine: readonly RawEntry[],
): Promise<StreamEntry[]> {
  const entries: StreamEntry[] = [];
  const unnamed: RawEntry[] = [];
  for (const raw of genuine) {
    const entry = decodeEntry(raw);
    if (entry === null) unnamed.push(raw);
    else entries.push(entry);
  }
  await deadLetterUnnamed(parts, unnamed);
  return entries;
}
