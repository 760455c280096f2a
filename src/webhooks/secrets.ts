import { randomBytes } from "node:crypto";
import type { EntityManager } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { WebhookEndpoint } from "../entities/webhook-endpoint.js";

/** Standard Webhooks asks for 24 to 64. */
const SECRET_BYTES = 32;

const ADD = `INSERT INTO webhook_secrets (id, endpoint_id, secret) VALUES ($1, $2, $3)`;

const RETIRE = `
  UPDATE webhook_secrets SET expires_at = now() + make_interval(secs => $2)
  WHERE endpoint_id = $1 AND expires_at IS NULL`;

/** Gives an endpoint a secret. @returns it, as receivers take it: `whsec_` and base64 */
export async function addSecret(manager: EntityManager, endpointId: string): Promise<string> {
  const secret = `whsec_${randomBytes(SECRET_BYTES).toString("base64")}`;
  await manager.query(ADD, [uuidv7(), endpointId, secret]);
  return secret;
}

/**
 * Gives an endpoint a new secret. Both sign for `overlapSeconds`, so that its receiver can change over at any time
 * in between. To be called in a transaction.
 * @returns the new secret
 */
export async function rotateSecret(
  manager: EntityManager,
  endpoint: WebhookEndpoint,
  overlapSeconds: number,
): Promise<string> {
  // Two who rotate at once take turns: else both new secrets would be without an end.
  await manager.findOneOrFail(WebhookEndpoint, {
    where: { id: endpoint.id },
    lock: { mode: "pessimistic_write" },
  });
  await manager.query(RETIRE, [endpoint.id, overlapSeconds]);
  return addSecret(manager, endpoint.id);
}
