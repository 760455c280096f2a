/** Breaks one thing: entries are acknowledged before they are committed. */

import * as original from "../../../src/consumers/settle-batch.js";
import { acknowledge } from "../../../src/stream/consumer-group.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/consumers/settle-batch.js";

replaceModule(import.meta.resolve("../../../src/consumers/settle-batch.js"), import.meta.url);

export const settleBatch: typeof original.settleBatch = async (parts, entries) => {
  await acknowledge(parts.redis, entries);
  return original.settleBatch(parts, entries);
};
