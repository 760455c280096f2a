/** Breaks one thing: ingest appends what it fetched, wherever the stream really ends. */
import * as original from "../../../src/stream/append-entries.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/stream/append-entries.js";

replaceModule(import.meta.resolve("../../../src/stream/append-entries.js"), import.meta.url);

export const appendEntries: typeof original.appendEntries = async (redis, account, _remembered, ...rest) => {
  const { tail } = await original.readPosition(redis, account);
  return original.appendEntries(redis, account, tail, ...rest);
};
