import type { PostgresServer } from "../../stage/machine/postgres.js";
import { type PostgresKind, startPostgresOf } from "../support/backends/postgres.js";
import { PostgresPair } from "../support/backends/postgres-pair.js";

/** Durable, unlike in other tests: what it calls committed must be there after `kill -9`. */
export async function startPostgresSide(kind: PostgresKind): Promise<PostgresServer> {
  return await startPostgresOf(kind);
}

/** What the faults of a standby are for. */
export function hasStandby({
  servers,
}: {
  readonly servers: { readonly postgres: PostgresServer };
}): boolean {
  return servers.postgres instanceof PostgresPair;
}

/** @throws Error where a run has no standby */
export function pairOf({
  servers,
}: {
  readonly servers: { readonly postgres: PostgresServer };
}): PostgresPair {
  if (servers.postgres instanceof PostgresPair) return servers.postgres;
  throw new Error("there is no standby: run it with --postgres standby");
}
