/**
 * Checks of a text's form without a regular expression: a pattern is compiled into states anew each time it is matched, and
 * an UPDATE judges all checks of its row again. As patterns, those of sessions and credits were a tenth of what settlement
 * costs.
 */

export const DIGITS = "0123456789";
export const HEX = `${DIGITS}abcdef`;
export const CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const LETTERS = `${CAPITALS}${CAPITALS.toLowerCase()}`;
export const BASE32 = `${CAPITALS}234567`;

/** Nothing is left once these characters are taken away. */
export function isOnly(text: string, characters: string): string {
  return `translate(${text}, '${characters}', '') = ''`;
}

/** As ^[0-9a-f]{64}$ */
export function isHex64(text: string): string {
  return `length(${text}) = 64 AND ${isOnly(text, HEX)}`;
}

/** As ^(0|[1-9][0-9]{0,19})$ */
export function isCount(text: string): string {
  return `length(${text}) BETWEEN 1 AND 20 AND ${isOnly(text, DIGITS)} AND (${text} = '0' OR NOT starts_with(${text}, '0'))`;
}
