import { type Config, ConfigError } from "../../config.js";

/** The people who may see /ops, as configured. */
export type OpsAccess = {
  /** In development no login is needed, on this machine, to look and not to act. */
  readonly isOpen: boolean;
  readonly user: string;
  readonly passwordHash: string | undefined;
  readonly trustedHeader: string | undefined;
  readonly mayAct: boolean;
};

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i;

/**
 * @throws ConfigError where a login is needed and none is configured: in production, and on an address that
 *   others can reach
 */
export function readOpsAccess(config: Config): OpsAccess {
  const { OPS_PASSWORD_HASH: passwordHash, OPS_TRUSTED_HEADER: trustedHeader } = config;
  const hasLogin = passwordHash !== undefined || trustedHeader !== undefined;
  if (!hasLogin && (config.NODE_ENV === "production" || !isLoopback(config.HOST))) {
    const why =
      config.NODE_ENV === "production"
        ? "NODE_ENV is production"
        : `HOST is ${JSON.stringify(config.HOST)}, which others can reach`;
    throw new ConfigError([
      `OPS_PASSWORD_HASH: got nothing, wants a line that \`paidonce hash-password\` has printed (or set OPS_TRUSTED_HEADER), since ${why}`,
    ]);
  }
  return {
    isOpen: !hasLogin && config.NODE_ENV === "development",
    user: config.OPS_USER,
    passwordHash,
    trustedHeader,
    mayAct: hasLogin && config.OPS_MAY_ACT,
  };
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}
