import { type Command, InvalidArgumentError } from "commander";
import type { DataSource, EntityManager } from "typeorm";
import { validate } from "uuid";
import { type Config, readConfig } from "../config.js";
import type { WebhookEndpoint } from "../entities/webhook-endpoint.js";
import {
  deleteEndpoint,
  disableEndpoint,
  findEndpoint,
  listAllEndpoints,
  resumeEndpoint,
} from "../webhooks/endpoints.js";
import { resealSecrets } from "../webhooks/secrets.js";
import { secretKeysOf } from "./check-servers.js";
import { openDatabaseNow } from "./open-database.js";
import { EXIT, print } from "./print.js";

/** Read from the database at a time. */
const PAGE = 200;

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
      await withDatabase((dataSource) => list(dataSource.manager, options));
    });

  command
    .command("disable")
    .description("send it nothing any more; its merchant can't resume it")
    .argument("<endpoint>", "its id, as `paidonce webhooks` shows it", endpointId)
    .requiredOption("--because <text>", "why; its merchant reads it", reason)
    .action(async (id: string, { because }: { because: string }) => {
      await change(id, "disabled", (manager, endpoint) => disableEndpoint(manager, endpoint, because));
    });

  command
    .command("resume")
    .description("send it what waits, whoever has paused or disabled it")
    .argument("<endpoint>", "its id, as `paidonce webhooks` shows it", endpointId)
    .action(async (id: string) => {
      await change(id, "active", (manager, endpoint) => resumeEndpoint(manager, endpoint, "operator"));
    });

  command
    .command("delete")
    .description("for good; what waits for it is not sent any more")
    .argument("<endpoint>", "its id, as `paidonce webhooks` shows it", endpointId)
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
      await withDatabase(rotateKey);
    });
}

async function list(manager: EntityManager, { json }: { json?: boolean }): Promise<void> {
  let after: string | null = null;
  for (;;) {
    const page: WebhookEndpoint[] = await listAllEndpoints(manager, after, PAGE);
    if (after === null && page.length === 0 && !json) await print("no webhook endpoints");
    if (!(await print(...page.map((each) => (json ? asJson(each) : describe(each)))))) return;
    after = page.at(-1)?.id ?? null;
    if (page.length < PAGE) return;
  }
}

async function change(
  id: string,
  became: string,
  work: (manager: EntityManager, endpoint: WebhookEndpoint) => Promise<unknown>,
): Promise<void> {
  await withDatabase((dataSource) =>
    dataSource.transaction(async (manager) => {
      const endpoint = await findEndpoint(manager, null, id);
      if (endpoint === null) process.exitCode = EXIT.failed;
      else await work(manager, endpoint);
      await print(endpoint === null ? `there is no webhook endpoint ${id}` : `${id}: ${became}`);
    }),
  );
}

async function rotateKey(dataSource: DataSource, config: Config): Promise<void> {
  const keys = secretKeysOf(config);
  const { changed, failed, reason } = await resealSecrets(dataSource, keys);
  const as = keys.currentName === null ? "stored as they are" : `encrypted with the key ${keys.currentName}`;
  await print(`${changed} secrets are now ${as}`);
  if (failed === 0) return;
  await print(`${failed} secrets could not be opened or changed, and are as they were: ${reason}`);
  process.exitCode = EXIT.failed;
}

async function withDatabase(work: (dataSource: DataSource, config: Config) => Promise<void>): Promise<void> {
  const config = readConfig(process.env);
  const dataSource = await openDatabaseNow(config, "webhooks");
  try {
    await work(dataSource, config);
  } finally {
    await dataSource.destroy();
  }
}

function describe({ id, merchantId, url, status, disabledBecause, failures }: WebhookEndpoint): string {
  // As JSON text: what a merchant has written must not steer the operator's terminal.
  const lines = [`${id}  ${status}  ${JSON.stringify(url)}`, `    merchant ${merchantId}`];
  if (failures > 0) lines.push(`    ${failures} attempts in a row have failed`);
  if (disabledBecause !== null) lines.push(`    because: ${JSON.stringify(disabledBecause)}`);
  return lines.join("\n");
}

/** Named as in the API. */
function asJson(endpoint: WebhookEndpoint): string {
  return JSON.stringify({
    id: endpoint.id,
    merchant_id: endpoint.merchantId,
    url: endpoint.url,
    description: endpoint.description,
    event_types: endpoint.eventTypes,
    status: endpoint.status,
    disabled_because: endpoint.disabledBecause,
    disabled_by_operator: endpoint.disabledByOperator,
    failures: endpoint.failures,
    created_at: endpoint.createdAt,
  });
}

function endpointId(text: string): string {
  if (!validate(text)) throw new InvalidArgumentError("An id is a UUID.");
  return text;
}

function reason(text: string): string {
  const trimmed = text.trim();
  if (trimmed.length < 1 || trimmed.length > 500) {
    throw new InvalidArgumentError("Say why, in 1 to 500 characters.");
  }
  return trimmed;
}
