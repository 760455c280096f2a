import type { HorizonClient } from "../../src/horizon/client.js";
import { ServerCondition } from "../../src/horizon/condition.js";
import { LedgerWatch, LOOKS_ALONE } from "../../src/horizon/ledger-watch.js";
import type { NetworkView } from "../../src/horizon/network-view.js";
import { silent } from "./stream.js";

/** Follows the ledgers of a test's network, which close when the test says so: it looks again within `mostMs`. */
export function watchLedgers(client: HorizonClient, network: NetworkView, mostMs = 50): LedgerWatch {
  const condition = new ServerCondition();
  return new LedgerWatch({ client, network, logger: silent, looks: LOOKS_ALONE, mostMs, condition });
}
