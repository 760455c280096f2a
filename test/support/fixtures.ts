import { readFileSync } from "node:fs";

const FOLDER = new URL("../../../test/fixtures/", import.meta.url);

/** A recorded answer of a server, or several; `name` as in test/fixtures/README.md. */
// biome-ignore lint/suspicious/noExplicitAny: any field of any recording, read only by assertions
export function readFixture(name: string): any {
  return JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
}
