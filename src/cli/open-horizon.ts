import type { Logger } from "pino";
import { sharedGovernor } from "../budget/shared-governor.js";
import type { Config } from "../config.js";
import { HorizonClient } from "../horizon/client.js";
import type { Purpose } from "../horizon/governor.js";
import type { RequestObserver } from "../horizon/http.js";
import type { RedisClient } from "../redis/client.js";

export type HorizonOptions = {
  /** Where the budget of requests is shared; null for a command that has no Redis: it keeps to a small part. */
  readonly redis: RedisClient | null;
  readonly purpose: Purpose;
  readonly observer?: RequestObserver;
};

/** Horizon as configured, asked within the budget that all roles and replicas share. */
export function openHorizon(config: Config, logger: Logger, options: HorizonOptions): HorizonClient {
  const { redis, purpose, observer } = options;
  const { HORIZON_URL: url, HORIZON_REQUESTS_PER_HOUR: perHour } = config;
  return new HorizonClient({
    url,
    governor: sharedGovernor({ redis, url, perHour, logger }),
    purpose,
    ...(observer !== undefined && { observer }),
  });
}
