import { CLI, type RoleProcess, startScript } from "../test/support/role-process.js";

export type RoleName = "ingest" | "consume" | "work" | "api";

/** Where the roles work. */
export type Place = {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** None: a role that needs it waits for ever. */
  readonly horizonUrl?: string;
};

export type BenchRole = RoleProcess & { readonly name: RoleName };

/** What an operator would have: tests are impatient, and would measure a service that looks around all the time. */
const AS_OPERATED: Readonly<Record<string, string>> = {
  CLAIM_IDLE_MS: "30000",
  LOCK_LEASE_MS: "10000",
  INGEST_POLL_MS: "10000",
  HORIZON_REQUESTS_PER_HOUR: "0",
  WEBHOOK_ALLOW_PRIVATE: "true",
  // A line for each payment is written by default; what that costs depends on where it goes.
  LOG_LEVEL: "warn",
};

/**
 * Starts a role in a process of its own and resolves when it is ready. Whatever was started is ended by `endRoles`.
 * @param preload a module that the process loads first
 */
export async function startRole(
  name: RoleName,
  { databaseUrl, redisUrl, horizonUrl }: Place,
  { env = {}, preload }: { env?: Readonly<Record<string, string>>; preload?: URL } = {},
): Promise<BenchRole> {
  const role = await startScript(
    CLI,
    name,
    {
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      ...(horizonUrl === undefined ? {} : { HORIZON_URL: horizonUrl }),
      ...AS_OPERATED,
      ...env,
    },
    preload === undefined ? [] : ["--import", preload.href],
  );
  return { ...role, name };
}

/** Ends it as an operator does, and resolves when it is gone. @throws Error with what it wrote where it failed */
export async function stopRole(role: BenchRole): Promise<void> {
  role.send("SIGTERM");
  const { code, signal } = await role.ended;
  if (code !== 0) throw new Error(`${role.name} ended with ${signal ?? code}\n${role.output()}`);
}
