/**
 * Which servers the tests run on, from the environment, and from nowhere else: the same tests, several backends.
 */
import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ProgramMissingError } from "../../../stage/machine/errors.js";
import { type PostgresServer, startPostgres } from "../../../stage/machine/postgres.js";
import { PostgresPair } from "./postgres-pair.js";

/**
 * - `embedded`: the Postgres that came with `npm ci`
 * - `debian`: the one of Debian's packages
 * - `standby`: the one that came with `npm ci`, with a synchronous standby, behind an address that moves
 */
export const POSTGRES_KINDS = ["embedded", "debian", "standby"] as const;
export type PostgresKind = (typeof POSTGRES_KINDS)[number];

const CHECKOUT = fileURLToPath(new URL("../../../..", import.meta.url));

/** Debian's package, installed; or only unpacked, by `./dev`, so that no cluster was made and no service started. */
const DEBIAN = ["/usr/lib/postgresql/*/bin", join(CHECKOUT, ".tools/postgres/usr/lib/postgresql/*/bin")];

/** @throws Error that says what may be asked for */
export function postgresKind(asked = process.env.TEST_POSTGRES): PostgresKind {
  if (asked === undefined || asked === "") return "embedded";
  const kind = POSTGRES_KINDS.find((known) => known === asked);
  if (kind === undefined) {
    throw new Error(`there is no Postgres called ${asked} for tests, only ${POSTGRES_KINDS.join(", ")}`);
  }
  return kind;
}

/** The server that the configuration asks for, for a test that kills it or needs it for itself. */
export async function startTestPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  return await startPostgresOf(postgresKind(), settings);
}

/** @throws ProgramMissingError when this machine does not have it */
export async function startPostgresOf(
  kind: PostgresKind,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  switch (kind) {
    case "embedded":
      return await startPostgres({ settings });
    case "debian":
      // Unpacked alone it lacks the compiler that it would load for a long query.
      return await startPostgres({ settings: { jit: "off", ...settings }, binaries: debianBinaries() });
    case "standby":
      return await PostgresPair.start({ settings });
  }
}

function debianBinaries(): string {
  const folder = DEBIAN.flatMap((place) => globSync(place).sort()).find((bin) =>
    existsSync(join(bin, "postgres")),
  );
  if (folder !== undefined) return folder;
  throw new ProgramMissingError(
    "there is no Postgres of Debian here: `./dev backends --postgres debian` brings it",
  );
}
