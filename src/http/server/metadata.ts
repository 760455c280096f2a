import { z } from "zod";

/** More than a name that people give. */
const KEY_CHARACTERS = 200;
const METADATA_KEYS = 50;
const METADATA_BYTES = 8 * 1024;

/** Brackets and all. An empty one could not be asked for. */
export const MetadataKey = z
  .string()
  .min(1, `a key has 1 to ${KEY_CHARACTERS} characters`)
  .max(KEY_CHARACTERS, `a key has 1 to ${KEY_CHARACTERS} characters`);

/** What a merchant wants to be told again: empty where a request has none. */
export const Metadata = z
  .record(MetadataKey, z.string("a value is a string"))
  .refine((metadata) => Object.keys(metadata).length <= METADATA_KEYS, `at most ${METADATA_KEYS} keys`)
  .refine(
    (metadata) => Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES,
    `at most ${METADATA_BYTES / 1024} KiB as JSON`,
  )
  .default({})
  .meta({
    override: { maxProperties: METADATA_KEYS },
    description: `Yours: kept and given back. At most ${METADATA_KEYS} keys and ${METADATA_BYTES / 1024} KiB as JSON.`,
  });
