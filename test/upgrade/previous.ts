import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { AccountId, CreditKey, Movement } from "../../src/stellar/credit.js";
import type { Release } from "../chaos/release.js";
import { bringPrevious, whyNoPrevious } from "./bring-previous.js";

/** The previous version, as far as tests call it by themselves. */
export type Previous = Release & {
  readonly entry: {
    entryId(movement: CreditKey): string;
    encodeEntry(movement: Movement): string[];
    decodeEntry(account: AccountId, entry: [id: string, fields: readonly string[] | null]): Movement;
  };
};

/**
 * For a `before` hook: brings the previous version, or skips the tests and says why.
 * @param context mocha's own
 */
export async function previousOrSkip(context: Mocha.Context): Promise<Previous> {
  // The first time it is built, and where its packages are others installed.
  context.timeout(600_000);
  const why = await whyNoPrevious();
  if (why !== null) {
    console.log(`    skipped: ${why}`);
    context.skip();
  }
  const dist = join(await bringPrevious(), "dist", "src");
  const load = (path: string) => import(pathToFileURL(join(dist, path)).href);
  const [entry, ...modules] = await Promise.all([
    load("stream/entry.js"),
    load("entities/data-source.js"),
    load("entities/merchant.js"),
    load("entities/migrate.js"),
    load("entities/receiving-account.js"),
    load("postgres/serializable.js"),
    load("http/merchants/keys.js"),
    load("settlement/end-session.js"),
    load("settlement/create-session.js"),
    load("settlement/watch-account.js"),
    load("webhooks/endpoints.js"),
  ]);
  return { ...(Object.assign({}, ...modules) as Omit<Release, "cli">), cli: join(dist, "cli.js"), entry };
}
