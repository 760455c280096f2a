import type { Logger } from "pino";
import type { RoleServer } from "../metrics/role-server.js";
import type { RedisClient } from "../redis/client.js";
import { startHeartbeat } from "../status/heartbeat.js";

export type ObservedRole = {
  readonly logger: Logger;
  readonly redis: RedisClient;
  readonly role: string;
  readonly name: string;
  /** Opened before anything else; null where nobody wants one. */
  readonly server: RoleServer | null;
  readonly figures?: () => Readonly<Record<string, string | number>>;
};

/**
 * Lets others see a role whose database is there: its heartbeat, and its readiness as soon as Redis has answered once.
 * Never keeps it from working.
 */
export function observeRole(observed: ObservedRole): { stop(): Promise<void> } {
  const { redis, server } = observed;
  const heartbeat = startHeartbeat(observed);
  const becameReady = () => server?.becameReady();
  if (redis.status === "ready") becameReady();
  else redis.once("ready", becameReady);
  return {
    stop: async () => {
      await heartbeat.stop();
      server?.close();
    },
  };
}
