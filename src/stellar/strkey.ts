/**
 * Addresses and keys as people write them (SEP-23): a version byte, the payload and a checksum, in base32. The SDK has
 * the same, behind six hundred modules that take half a second to load. Most processes need nothing else of it, so these
 * lines let them start in half the time. test/stellar/strkey.test.ts holds both to the same answers.
 */

/** Version byte, and how long the payload is. */
const KINDS = {
  account: { version: 6 << 3, bytes: 32 },
  seed: { version: 18 << 3, bytes: 32 },
  muxedAccount: { version: 12 << 3, bytes: 40 },
  contract: { version: 2 << 3, bytes: 32 },
  liquidityPool: { version: 11 << 3, bytes: 32 },
  claimableBalance: { version: 1 << 3, bytes: 33 },
} as const;

export type StrKeyKind = keyof typeof KINDS;

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Whether a text is a key of that kind, checksum included. */
export function isStrKey(kind: StrKeyKind, text: string): boolean {
  return decodeStrKey(kind, text) !== null;
}

/** The payload of a key. @returns null unless the text is a key of that kind, in its only spelling */
export function decodeStrKey(kind: StrKeyKind, text: string): Buffer | null {
  const { bytes } = KINDS[kind];
  if (text.length !== Math.ceil(((bytes + 3) * 8) / 5)) return null;
  const decoded = Buffer.alloc(bytes + 3);
  let value = 0;
  let bits = 0;
  let length = 0;
  for (const letter of text) {
    const digit = BASE32.indexOf(letter);
    if (digit < 0) return null;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    decoded[length++] = value >> bits;
  }
  const payload = decoded.subarray(1, -2);
  // Encoding again also finds a wrong version, a wrong checksum and bits that are left over at the end.
  if (encodeStrKey(kind, payload) !== text) return null;
  // Of claimable balances only type 0 exists.
  return kind === "claimableBalance" && payload[0] !== 0 ? null : payload;
}

/** @param payload as long as the kind's is */
export function encodeStrKey(kind: StrKeyKind, payload: Uint8Array): string {
  const checked = Buffer.from([KINDS[kind].version, ...payload, 0, 0]);
  checked.writeUInt16LE(checksum(checked.subarray(0, -2)), checked.length - 2);
  let text = "";
  let value = 0;
  let bits = 0;
  for (const byte of checked) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += BASE32.charAt((value >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + BASE32.charAt((value << (5 - bits)) & 31);
}

/** CRC-16/XMODEM. */
function checksum(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    let code = (crc >>> 8) ^ byte;
    code ^= code >>> 4;
    crc = ((crc << 8) ^ (code << 12) ^ (code << 5) ^ code) & 0xffff;
  }
  return crc;
}
