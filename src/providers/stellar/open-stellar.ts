import type { DataSource } from "typeorm";
import type { Config } from "../../config.js";
import type { HorizonClient } from "../../horizon/client.js";
import { readSubmission } from "../../submission/read-submission.js";
import type { Acceptor } from "../acceptance.js";
import type { Provider } from "../provider.js";
import { StellarAcceptor } from "./accept.js";
import { StellarProvider } from "./provider.js";

/** For whoever accepts charges. */
export function stellarAcceptor({ NETWORK_PASSPHRASE }: Config): Acceptor {
  return new StellarAcceptor(NETWORK_PASSPHRASE);
}

/** Two ledgers: what is in neither by then is asked for later. */
const LEDGERS_MS = 12_000;

/** Of a call's time: the rest is for sending, and for the last look. Beyond the deadline an answer would be lost. */
const WAITING_SHARE = 0.6;

/** For whoever charges. */
export function openStellar(
  { NETWORK_PASSPHRASE: passphrase, CHARGE_TIMEOUT_SECONDS: seconds }: Config,
  horizon: HorizonClient,
  dataSource: DataSource,
): Provider {
  return new StellarProvider({
    horizon,
    passphrase,
    keptFor: (id) => readSubmission(dataSource, id),
    awaitMs: Math.min(LEDGERS_MS, seconds * WAITING_SHARE * 1_000),
  });
}
