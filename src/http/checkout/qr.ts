import { create } from "qrcode";
import { Html, html } from "../server/html.js";

/** Light around the code, in modules; readers need it (ISO 18004). */
const QUIET = 4;

/**
 * A QR code as inline SVG, one path, in the colour of the text around it.
 * @param label what it is, for those who do not see it
 */
export function qrCode(text: string, label: string): Html {
  // Low correction: nothing wears off a screen, and larger modules are easier for a camera than spare ones.
  const { modules } = create(text, { errorCorrectionLevel: "L" });
  const side = modules.size + 2 * QUIET;
  const path = new Html(darkRuns(modules.size, (row, column) => modules.get(row, column) === 1));
  return html`<svg class="qr" role="img" aria-label="${label}" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges"><path fill="currentColor" d="${path}"/></svg>`;
}

/** One rectangle per run of dark modules in a row: a fraction of the size of one per module. */
function darkRuns(size: number, isDark: (row: number, column: number) => boolean): string {
  const runs: string[] = [];
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      if (!isDark(row, column)) continue;
      const start = column;
      while (column < size && isDark(row, column)) column++;
      runs.push(`M${start + QUIET} ${row + QUIET}h${column - start}v1h-${column - start}z`);
    }
  }
  return runs.join("");
}
