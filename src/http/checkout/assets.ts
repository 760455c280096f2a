import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { STYLES } from "./styles.js";

export type Asset = { readonly type: string; readonly body: string };

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" fill="#1f4fb8"/><path d="m9 16.5 5 5 9-11" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

/** What the page loads, by name. The scripts are those of the build, beside this file. */
export const ASSETS: ReadonlyMap<string, Asset> = new Map([
  ["styles.css", { type: "text/css", body: STYLES }],
  ["script.js", { type: "text/javascript", body: built("script.js") }],
  ["time-left.js", { type: "text/javascript", body: built("time-left.js") }],
  ["icon.svg", { type: "image/svg+xml", body: ICON }],
]);

/** One hash over all, so that a page of one release never runs with the script of another, nor with half of it. */
export const ASSETS_HASH = createHash("sha256")
  .update(JSON.stringify([...ASSETS]))
  .digest("base64url")
  .slice(0, 16);

/** Without its link to a source map, which is not served. */
function built(name: string): string {
  return readFileSync(new URL(name, import.meta.url), "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "");
}
