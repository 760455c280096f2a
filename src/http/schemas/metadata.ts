import { z } from "zod";

const METADATA_KEYS = 50;
const METADATA_BYTES = 8 * 1024;

/** What a merchant wants to be told again: empty where a request has none. */
export const Metadata = z
  .record(z.string(), z.string("a value is a string"))
  .refine((metadata) => Object.keys(metadata).length <= METADATA_KEYS, `at most ${METADATA_KEYS} keys`)
  .refine(
    (metadata) => Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES,
    `at most ${METADATA_BYTES / 1024} KiB as JSON`,
  )
  .default({})
  .meta({
    description: `Yours: kept and given back. At most ${METADATA_KEYS} keys and ${METADATA_BYTES / 1024} KiB as JSON.`,
  });
