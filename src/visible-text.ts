/** Controls (C0, DEL, C1), formats such as the marks that turn the direction of text, separators, half characters. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * The text with what a terminal would obey, or a reader could not see, as escapes (`\u202e`). Memos, names and paths are
 * written by strangers: one could hide a line, colour it, or show an amount from right to left. Inside JSON the escapes
 * mean what they stand for.
 * @param text one line; a line break in it becomes an escape too, or a stranger could write a line of ours
 */
export function visibleText(text: string): string {
  return text.replace(UNSEEN, escaped);
}

function escaped(character: string): string {
  let units = "";
  for (let i = 0; i < character.length; i++) {
    units += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
  }
  return units;
}
