/** Text that is markup already. Made by `html` alone, so that nothing gets into a page without being escaped. */
export class Html {
  constructor(readonly text: string) {}
  toString(): string {
    return this.text;
  }
  /** As JSON carries it to the page. */
  toJSON(): string {
    return this.text;
  }
}

type Part = Html | string | number | null | readonly Html[];

/** Markup with every value in it escaped, but for markup and lists of it; null is nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, string, i) => `${text}${show(parts[i - 1] ?? null)}${string}`));
}

function show(part: Part): string {
  if (part === null) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(show).join("");
  return String(part).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
