/** Breaks one thing: entries are acknowledged before they are committed. */

import * as original from "../../../src/consumers/settle-batch.js";
import { acknowledge } from "../../../src/stream/consumer-group.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/consumers/settle-batch.js";

replaceModule(import.meta.resolve("../../../src/consumers/settle-batch.js"), import.meta.url);

export const settleDeliveries: typeof original.settleDeliveries = async (parts, deliveries) => {
  await acknowledge(parts.redis, deliveries);
  return original.settleDeliveries(parts, deliveries);
};
