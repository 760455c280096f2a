import type { EntityManager } from "typeorm";
import { z } from "zod";
import { Merchant } from "../../entities/merchant.js";
import type { WebhookEndpoint } from "../../entities/webhook-endpoint.js";
import {
  createEndpoint,
  DisabledByOperatorError,
  deleteEndpoint,
  disableEndpoint,
  EndpointLimitError,
  type EndpointRules,
  findEndpoint,
  listEndpoints,
  pauseEndpoint,
  resumeEndpoint,
  sendTestEvent,
  updateEndpoint,
} from "../../webhooks/endpoints.js";
import { endpointUrlProblem, type UrlPolicy } from "../../webhooks/public-address.js";
import { rotateSecret } from "../../webhooks/secrets.js";
import { noMerchant } from "../merchants/merchants.js";
import { Problem } from "../server/problem.js";
import { type Call, merchantOf, type Route, read, write } from "../server/route.js";
import { Id } from "../server/values.js";
import {
  Disabling,
  Endpoint,
  EndpointChanges,
  EndpointRequest,
  presentEndpoint,
  SecretRotation,
} from "./webhook.js";

const TAG = "Webhook endpoints";
const LIST = "/v1/webhooks/endpoints";
const ONE = `${LIST}/:endpoint_id`;

export const OneEndpoint = z.object({ endpoint_id: Id });

/** Where a merchant is told of events. */
export function endpointRoutes({ webhooks }: { readonly webhooks: UrlPolicy & EndpointRules }): Route[] {
  const checkUrl = (url: string | undefined): void => {
    const problem = url === undefined ? null : endpointUrlProblem(url, webhooks);
    if (problem !== null) throw new Problem("endpoint-refused", `The URL ${problem}.`);
  };

  return [
    write({
      method: "POST",
      path: LIST,
      access: "merchant",
      operationId: "createWebhookEndpoint",
      summary: "Create a webhook endpoint; its secret is shown once",
      description:
        "It is told of every event from now on that its `event_types` let through. A merchant has a limited number of endpoints: past it the answer is 409 `too-many-endpoints`.",
      tag: TAG,
      idempotency: "required",
      status: 201,
      body: EndpointRequest,
      answer: Endpoint,
      write: async (call, { manager }) => {
        const { url, description, event_types: eventTypes } = call.body;
        checkUrl(url);
        const settings = { url, description, eventTypes };
        const { merchantId } = merchantOf(call);
        const created = await orProblem(createEndpoint(manager, merchantId, settings, webhooks));
        return { body: presentEndpoint(created.endpoint), once: { secret: created.secret } };
      },
    }),
    read({
      path: LIST,
      access: "merchant",
      operationId: "listWebhookEndpoints",
      summary: "List the webhook endpoints",
      tag: TAG,
      answer: z.object({ data: z.array(Endpoint) }),
      read: async (call, manager) => {
        const endpoints = await listEndpoints(manager, merchantOf(call).merchantId);
        return { body: { data: endpoints.map(presentEndpoint) } };
      },
    }),
    read({
      path: ONE,
      access: "merchant",
      operationId: "getWebhookEndpoint",
      summary: "Get a webhook endpoint",
      tag: TAG,
      params: OneEndpoint,
      answer: Endpoint,
      read: async (call, manager) => ({ body: presentEndpoint(await endpointOf(call, manager)) }),
    }),
    write({
      method: "PATCH",
      path: ONE,
      access: "merchant",
      operationId: "updateWebhookEndpoint",
      summary: "Change URL, description or event types; what waits goes to the new URL",
      tag: TAG,
      params: OneEndpoint,
      body: EndpointChanges,
      answer: Endpoint,
      write: async (call, { manager }) => {
        const endpoint = await endpointOf(call, manager);
        const { url, description, event_types: eventTypes } = call.body;
        checkUrl(url);
        const changes = {
          ...(url !== undefined && { url }),
          ...(description !== undefined && { description }),
          ...(eventTypes !== undefined && { eventTypes }),
        };
        return { body: presentEndpoint(await updateEndpoint(manager, endpoint, changes)) };
      },
    }),
    deletion({ ...OF_MERCHANT, operationId: "deleteWebhookEndpoint", summary: "Delete a webhook endpoint" }),
    change({
      ...OF_MERCHANT,
      verb: "pause",
      operationId: "pauseWebhookEndpoint",
      summary: "Pause a webhook endpoint: its events wait",
      work: pauseEndpoint,
    }),
    change({
      ...OF_MERCHANT,
      verb: "resume",
      operationId: "resumeWebhookEndpoint",
      summary: "Resume a paused or disabled webhook endpoint: what waits is sent",
      work: (manager, endpoint) => resumeEndpoint(manager, endpoint),
    }),
    write({
      method: "POST",
      path: `${ONE}/rotate-secret`,
      access: "merchant",
      operationId: "rotateWebhookSecret",
      summary: "Replace the secret: the new one is shown once, both sign for a while",
      description: "At most three secrets sign at the same time: one more ends the oldest at once.",
      tag: TAG,
      idempotency: "required",
      params: OneEndpoint,
      body: SecretRotation,
      answer: Endpoint,
      write: async (call, { manager }) => {
        const endpoint = await endpointOf(call, manager);
        const { overlap_seconds: overlap } = call.body;
        const secret = await rotateSecret(manager, endpoint, overlap, webhooks.secretKeys);
        return { body: presentEndpoint(endpoint), once: { secret } };
      },
    }),
    write({
      method: "POST",
      path: `${ONE}/test`,
      access: "merchant",
      operationId: "testWebhookEndpoint",
      summary: "Send a webhook.test event to this endpoint",
      tag: TAG,
      idempotency: "optional",
      status: 202,
      params: OneEndpoint,
      answer: z.object({ event_id: Id }),
      write: async (call, { manager }) => {
        const endpoint = await endpointOf(call, manager);
        if (endpoint.status === "disabled") {
          throw new Problem("conflict", "A disabled endpoint is told of nothing: resume it first.");
        }
        return { body: { event_id: await sendTestEvent(manager, endpoint) } };
      },
    }),
  ];
}

/** What the admin may do to the webhook endpoints of any merchant: stop one that harms others. */
export function merchantEndpointRoutes(): Route[] {
  return [
    read({
      path: "/v1/merchants/:merchant_id/webhooks/endpoints",
      access: "admin",
      operationId: "listMerchantWebhookEndpoints",
      summary: "List a merchant's webhook endpoints",
      tag: OF_ADMIN.tag,
      params: OfMerchant,
      answer: z.object({ data: z.array(Endpoint) }),
      read: async ({ params: { merchant_id: id } }, manager) => {
        if (!(await manager.existsBy(Merchant, { id }))) throw noMerchant(id);
        return { body: { data: (await listEndpoints(manager, id)).map(presentEndpoint) } };
      },
    }),
    change({
      ...OF_ADMIN,
      verb: "disable",
      operationId: "disableMerchantWebhookEndpoint",
      summary: "Disable a merchant's webhook endpoint; the merchant can't resume it",
      body: Disabling,
      work: (manager, endpoint, { because }) => disableEndpoint(manager, endpoint, because),
    }),
    change({
      ...OF_ADMIN,
      verb: "resume",
      operationId: "resumeMerchantWebhookEndpoint",
      summary: "Resume a merchant's webhook endpoint, whoever has paused or disabled it",
      work: (manager, endpoint) => resumeEndpoint(manager, endpoint, "operator"),
    }),
    deletion({
      ...OF_ADMIN,
      operationId: "deleteMerchantWebhookEndpoint",
      summary: "Delete a merchant's webhook endpoint",
    }),
  ];
}

/** Whose endpoints a route is about, and who may ask for it. */
type Side<P> = {
  readonly access: "merchant" | "admin";
  readonly tag: string;
  /** The path of one endpoint. */
  readonly one: string;
  readonly params: z.ZodType<P>;
  readonly find: (call: Call<P, unknown, unknown>, manager: EntityManager) => Promise<WebhookEndpoint>;
};

const OF_MERCHANT: Side<z.output<typeof OneEndpoint>> = {
  access: "merchant",
  tag: TAG,
  one: ONE,
  params: OneEndpoint,
  find: endpointOf,
};

const OfMerchant = z.object({ merchant_id: Id });
const OneOfMerchant = OfMerchant.extend({ endpoint_id: Id });

const OF_ADMIN: Side<z.output<typeof OneOfMerchant>> = {
  access: "admin",
  tag: "Merchants",
  one: "/v1/merchants/:merchant_id/webhooks/endpoints/:endpoint_id",
  params: OneOfMerchant,
  find: async ({ params: { merchant_id: merchantId, endpoint_id: id } }, manager) => {
    const endpoint = await findEndpoint(manager, merchantId, id);
    if (endpoint !== null) return endpoint;
    throw new Problem("not-found", `Merchant ${merchantId} has no webhook endpoint ${id}.`);
  },
};

type Naming = { readonly operationId: string; readonly summary: string };

/** Does something to an endpoint, and answers with the endpoint as it is then. */
function change<P, B = undefined>({
  one,
  find,
  verb,
  work,
  ...description
}: Side<P> &
  Naming & {
    readonly verb: string;
    readonly body?: z.ZodType<B>;
    readonly work: (manager: EntityManager, endpoint: WebhookEndpoint, body: B) => Promise<WebhookEndpoint>;
  }): Route {
  return write<P, unknown, B, z.output<typeof Endpoint>>({
    ...description,
    method: "POST",
    path: `${one}/${verb}`,
    idempotency: "optional",
    answer: Endpoint,
    write: async (call, { manager }) => ({
      body: presentEndpoint(await orProblem(work(manager, await find(call, manager), call.body))),
    }),
  });
}

function deletion<P>({ one, find, summary, ...description }: Side<P> & Naming): Route {
  return write<P, unknown, undefined, z.output<typeof Deleted>>({
    ...description,
    summary: `${summary}; what waits for it is not sent any more`,
    method: "DELETE",
    path: one,
    answer: Deleted,
    write: async (call, { manager }) => {
      const endpoint = await find(call, manager);
      await deleteEndpoint(manager, endpoint);
      return { body: { id: endpoint.id, deleted: true as const } };
    },
  });
}

const Deleted = z.object({ id: Id, deleted: z.literal(true) });

/** Says in the API's words why an endpoint can't be had or changed. */
async function orProblem<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof EndpointLimitError) {
      throw new Problem(
        "too-many-endpoints",
        `You have ${error.limit} webhook endpoints, which is the limit here: delete one first.`,
      );
    }
    if (error instanceof DisabledByOperatorError) {
      throw new Problem("conflict", `The operator has disabled this endpoint (${error.reason}): ask there.`);
    }
    throw error;
  }
}

/** @throws Problem `not-found` */
export async function endpointOf(
  call: Call<z.output<typeof OneEndpoint>, unknown, unknown>,
  manager: EntityManager,
): Promise<WebhookEndpoint> {
  const { endpoint_id: id } = call.params;
  const endpoint = await findEndpoint(manager, merchantOf(call).merchantId, id);
  if (endpoint === null) throw new Problem("not-found", `There is no webhook endpoint ${id}.`);
  return endpoint;
}
