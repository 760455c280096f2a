import type { EntityManager } from "typeorm";
import { z } from "zod";
import { Merchant } from "../../entities/merchant.js";
import type { WebhookEndpoint } from "../../entities/webhook-endpoint.js";
import {
  deleteEndpoint,
  disableEndpoint,
  findEndpoint,
  listEndpoints,
  resumeEndpoint,
} from "../../webhooks/endpoints.js";
import { noMerchant } from "../merchants/merchants.js";
import { Problem } from "../server/problem.js";
import { type Route, read, write } from "../server/route.js";
import { Id } from "../server/values.js";
import { Disabling, Endpoint, presentEndpoint } from "./webhook.js";

const TAG = "Merchants";
const LIST = "/v1/merchants/:merchant_id/webhooks/endpoints";
const ONE = `${LIST}/:endpoint_id`;

const OneMerchant = z.object({ merchant_id: Id });
const OneEndpoint = OneMerchant.extend({ endpoint_id: Id });

/** What the admin may do to the webhook endpoints of any merchant: stop one that harms others. */
export function merchantEndpointRoutes(): Route[] {
  return [
    read({
      path: LIST,
      access: "admin",
      operationId: "listMerchantWebhookEndpoints",
      summary: "List a merchant's webhook endpoints",
      tag: TAG,
      params: OneMerchant,
      answer: z.object({ data: z.array(Endpoint) }),
      read: async ({ params }, manager) => {
        const { merchant_id: id } = params;
        if (!(await manager.existsBy(Merchant, { id }))) throw noMerchant(id);
        return { body: { data: (await listEndpoints(manager, id)).map(presentEndpoint) } };
      },
    }),
    write({
      method: "POST",
      path: `${ONE}/disable`,
      access: "admin",
      operationId: "disableMerchantWebhookEndpoint",
      summary: "Disable a merchant's webhook endpoint; the merchant can't resume it",
      tag: TAG,
      idempotency: "optional",
      params: OneEndpoint,
      body: Disabling,
      answer: Endpoint,
      write: async ({ params, body }, { manager }) => {
        const endpoint = await endpointOf(params, manager);
        return { body: presentEndpoint(await disableEndpoint(manager, endpoint, body.because)) };
      },
    }),
    write({
      method: "POST",
      path: `${ONE}/resume`,
      access: "admin",
      operationId: "resumeMerchantWebhookEndpoint",
      summary: "Resume a merchant's webhook endpoint, whoever has paused or disabled it",
      tag: TAG,
      idempotency: "optional",
      params: OneEndpoint,
      answer: Endpoint,
      write: async ({ params }, { manager }) => {
        const endpoint = await endpointOf(params, manager);
        return { body: presentEndpoint(await resumeEndpoint(manager, endpoint, "operator")) };
      },
    }),
    write({
      method: "DELETE",
      path: ONE,
      access: "admin",
      operationId: "deleteMerchantWebhookEndpoint",
      summary: "Delete a merchant's webhook endpoint; what waits for it is not sent any more",
      tag: TAG,
      params: OneEndpoint,
      answer: z.object({ id: Id, deleted: z.literal(true) }),
      write: async ({ params }, { manager }) => {
        const endpoint = await endpointOf(params, manager);
        await deleteEndpoint(manager, endpoint);
        return { body: { id: endpoint.id, deleted: true } };
      },
    }),
  ];
}

/** @throws Problem `not-found` */
async function endpointOf(
  { merchant_id: merchantId, endpoint_id: id }: z.output<typeof OneEndpoint>,
  manager: EntityManager,
): Promise<WebhookEndpoint> {
  const endpoint = await findEndpoint(manager, merchantId, id);
  if (endpoint === null)
    throw new Problem("not-found", `Merchant ${merchantId} has no webhook endpoint ${id}.`);
  return endpoint;
}
