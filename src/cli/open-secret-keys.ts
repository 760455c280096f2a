import type { DataSource } from "typeorm";
import { type Config, ConfigError } from "../config.js";
import { missingSecretKeys, SecretKeys } from "../webhooks/secrets.js";

/** The keys of webhook secrets that the environment names. */
export function secretKeysOf(config: Config): SecretKeys {
  return new SecretKeys(config.WEBHOOK_SECRETS_KEY, config.WEBHOOK_SECRETS_KEY_PREVIOUS);
}

/**
 * Refuses to begin where a secret that still signs can't be opened: its endpoint would be told of nothing, and nobody
 * would know why.
 * @throws ConfigError
 */
export async function requireSecretKeys(dataSource: DataSource, keys: SecretKeys): Promise<void> {
  const missing = await missingSecretKeys(dataSource.manager, keys);
  if (missing.length === 0) return;
  // An open pool would keep the process from ending.
  await dataSource.destroy();
  throw new ConfigError([
    `WEBHOOK_SECRETS_KEY: webhook secrets are encrypted with ${missing.length} other key(s), named ${missing.join(", ")}: set the key, or WEBHOOK_SECRETS_KEY_PREVIOUS, to the one that they were encrypted with`,
  ]);
}
