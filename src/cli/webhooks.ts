import type { Command } from "commander";
import type { DataSource, EntityManager } from "typeorm";
import { type Config, ConfigError } from "../config.js";
import type { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import { MOST_REASON_CHARACTERS, presentEndpoint } from "../http/webhooks/webhook.js";
import {
  deleteEndpoint,
  disableEndpoint,
  findEndpoint,
  listAllEndpoints,
  resumeEndpoint,
} from "../webhooks/endpoints.js";
import { missingSecretKeys, resealSecrets, SecretKeys } from "../webhooks/secrets.js";
import { idOf, note } from "./arguments.js";
import { type Opened, withDatabase } from "./open-database.js";
import { EXIT, print, printList } from "./print.js";

/** The operator's view of all merchants' webhook endpoints. */
export function addWebhooksCommand(program: Command): void {
  const command = program
    .command("webhooks")
    .description("every merchant's webhook endpoints: list them, disable or delete one that harms others");

  command
    .command("list", { isDefault: true })
    .description("every endpoint, the oldest first")
    .option("--json", "one JSON object per line")
    .action(async (options: { json?: boolean }) => {
      await withDatabase("webhooks", ({ dataSource }) => list(dataSource.manager, options));
    });

  command
    .command("disable")
    .description("send it nothing any more; its merchant can't resume it")
    .argument("<endpoint>", "its id, as `paidonce webhooks` shows it", idOf("an endpoint's"))
    .requiredOption("--because <text>", "why; its merchant reads it", note("why", MOST_REASON_CHARACTERS))
    .action(async (id: string, { because }: { because: string }) => {
      await change(id, "disabled", (manager, endpoint) => disableEndpoint(manager, endpoint, because));
    });

  command
    .command("resume")
    .description("send it what waits, whoever has paused or disabled it")
    .argument("<endpoint>", "its id, as `paidonce webhooks` shows it", idOf("an endpoint's"))
    .action(async (id: string) => {
      await change(id, "active", (manager, endpoint) => resumeEndpoint(manager, endpoint, "operator"));
    });

  command
    .command("delete")
    .description("for good; what waits for it is not sent any more")
    .argument("<endpoint>", "its id, as `paidonce webhooks` shows it", idOf("an endpoint's"))
    .action(async (id: string) => {
      await change(id, "deleted", deleteEndpoint);
    });

  command
    .command("rotate-key")
    .description("encrypt all secrets with WEBHOOK_SECRETS_KEY: after it was set, changed or removed")
    .addHelpText(
      "after",
      `
To change the key, set WEBHOOK_SECRETS_KEY to the new one and WEBHOOK_SECRETS_KEY_PREVIOUS to the one before, and start
every \`work\` and then every \`api\` anew. Run this. Then remove WEBHOOK_SECRETS_KEY_PREVIOUS.`,
    )
    .action(async () => {
      await withDatabase("webhooks", rotateKey);
    });
}

async function list(manager: EntityManager, { json }: { json?: boolean }): Promise<void> {
  await printList(
    (after: WebhookEndpoint | null, limit) => listAllEndpoints(manager, after?.id ?? null, limit),
    json ? (each) => [asJson(each)] : describe,
    json ? null : "no webhook endpoints",
  );
}

/** As the API shows it to its merchant. */
function asJson(endpoint: WebhookEndpoint): string {
  return JSON.stringify({ merchant_id: endpoint.merchantId, ...presentEndpoint(endpoint) });
}

async function change(
  id: string,
  became: string,
  work: (manager: EntityManager, endpoint: WebhookEndpoint) => Promise<unknown>,
): Promise<void> {
  await withDatabase("webhooks", ({ dataSource }) =>
    dataSource.transaction(async (manager) => {
      const endpoint = await findEndpoint(manager, null, id);
      if (endpoint === null) process.exitCode = EXIT.failed;
      else await work(manager, endpoint);
      await print(endpoint === null ? `there is no webhook endpoint ${id}` : `${id}: ${became}`);
    }),
  );
}

async function rotateKey({ dataSource, config }: Opened): Promise<void> {
  const keys = secretKeysOf(config);
  const { changed, failed, reason } = await resealSecrets(dataSource, keys);
  const as = keys.currentName === null ? "stored as they are" : `encrypted with the key ${keys.currentName}`;
  await print(`${changed} secrets are now ${as}`);
  if (failed === 0) return;
  await print(`${failed} secrets could not be opened or changed, and are as they were: ${reason}`);
  process.exitCode = EXIT.failed;
}

function describe({ id, merchantId, url, status, disabledBecause, failures }: WebhookEndpoint): string[] {
  // As JSON text: what a merchant has written must not steer the operator's terminal.
  const lines = [`${id}  ${status}  ${JSON.stringify(url)}`, `    merchant ${merchantId}`];
  if (failures > 0) lines.push(`    ${failures} attempts in a row have failed`);
  if (disabledBecause !== null) lines.push(`    because: ${JSON.stringify(disabledBecause)}`);
  return lines;
}

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
