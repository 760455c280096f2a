import type { Config } from "../config.js";
import type { StatusLimits } from "./status.js";

/** From when on waiting is a problem: what the configuration says, and nothing else has a say in. */
export function statusLimits(config: Config): StatusLimits {
  return {
    cursor_lag_ledgers: config.ALERT_CURSOR_LAG_LEDGERS,
    unsettled_seconds: config.ALERT_UNSETTLED_SECONDS,
    horizon_silent_seconds: config.ALERT_HORIZON_SILENT_SECONDS,
    // Two runs may be missed: a restart, or one that takes long.
    recovery_silent_seconds: 3 * config.RECOVERY_EVERY_SECONDS,
    charge_unknown_seconds: config.ALERT_CHARGE_UNKNOWN_SECONDS,
    exception_open_seconds: config.ALERT_EXCEPTION_OPEN_SECONDS,
  };
}
