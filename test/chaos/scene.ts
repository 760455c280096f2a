import type { DataSource } from "typeorm";
import type { Ear } from "./ear.js";
import type { DriverLedger } from "./ledger.js";
import type { ChaosRedis } from "./redis-side.js";
import type { SandboxClient } from "./sandbox-client.js";
import type { Street } from "./shop.js";

/** What a verdict needs to look at, however the roles were started. */
export type Scene = {
  readonly databaseUrl: string;
  /** The driver's own eyes: straight to Postgres, past every link. */
  readonly dataSource: DataSource;
  /** Streams and jobs. */
  readonly redis: ChaosRedis;
  readonly sandbox: SandboxClient;
  /** The network as the roles are told of it: by this address all that ask share one budget of requests. */
  readonly horizonUrl: string;
  readonly street: Street;
  readonly ledger: DriverLedger;
  readonly ear: Ear;
};
