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

/** For whoever charges. */
export function openStellar(
  { NETWORK_PASSPHRASE: passphrase }: Config,
  horizon: HorizonClient,
  dataSource: DataSource,
): Provider {
  return new StellarProvider({ horizon, passphrase, keptFor: (id) => readSubmission(dataSource, id) });
}
