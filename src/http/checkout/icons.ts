import { Html } from "../server/html.js";
import type { Tone } from "./words.js";

/** Beside the words, for eyes only. Without colours, so that dark and light share them. */
const SHAPES: Readonly<Record<Tone, string>> = {
  open: '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3 2"/>',
  good: '<circle cx="12" cy="12" r="9"/><path d="m8 12.5 2.7 2.7L16 9.5"/>',
  attention: '<circle cx="12" cy="12" r="9"/><path d="M12 7.5v5.5M12 16.4v.1"/>',
  over: '<circle cx="12" cy="12" r="9"/><path d="M8 12h8"/>',
};

export function stateIcon(tone: Tone): Html {
  return new Html(`<svg aria-hidden="true" viewBox="0 0 24 24">${SHAPES[tone]}</svg>`);
}
