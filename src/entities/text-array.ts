/** OID of `text`, fixed for ever (pg_type.dat). */
const TEXT = 25;
const HEADER_BYTES = 20;

/**
 * A parameter for `$n::text[]` in the binary form that Postgres' `array_recv` reads: dimensions, whether there are nulls,
 * the element's type, length, lower bound, then each element behind its length in bytes, -1 for null. The text form
 * escapes every quote here and looks for it there, and what settlement stores is mostly quotes.
 */
export function textArray(values: readonly (string | null)[]): Buffer {
  let bytes = HEADER_BYTES;
  for (const value of values) bytes += 4 + (value === null ? 0 : Buffer.byteLength(value));
  const buffer = Buffer.allocUnsafe(bytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(values.includes(null) ? 1 : 0, 4);
  buffer.writeInt32BE(TEXT, 8);
  buffer.writeInt32BE(values.length, 12);
  buffer.writeInt32BE(1, 16);
  let end = HEADER_BYTES;
  for (const value of values) {
    const length = value === null ? -1 : buffer.write(value, end + 4);
    buffer.writeInt32BE(length, end);
    end += 4 + Math.max(0, length);
  }
  return buffer;
}
