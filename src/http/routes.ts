import type { AppSources } from "./app.js";
import { chargeRoutes } from "./charges/charges.js";
import { exceptionRoutes } from "./credits/exceptions.js";
import { exportRoutes } from "./credits/exports.js";
import { paymentRoutes } from "./credits/payments.js";
import { accountRoutes } from "./merchants/accounts.js";
import { keyRoutes } from "./merchants/keys.js";
import { merchantRoutes } from "./merchants/merchants.js";
import { ReceivingChecks } from "./merchants/receiving-checks.js";
import type { Route } from "./server/route.js";
import { sessionEventRoutes } from "./sessions/session-events.js";
import { sessionTransactionRoutes } from "./sessions/session-transactions.js";
import { sessionRoutes } from "./sessions/sessions.js";
import { eventRoutes } from "./webhooks/events.js";
import { merchantEndpointRoutes } from "./webhooks/merchant-endpoints.js";
import { deliveryRoutes } from "./webhooks/webhook-deliveries.js";
import { endpointRoutes } from "./webhooks/webhook-endpoints.js";

/**
 * Every route of the versioned API, in the order of its description.
 * @param receiving what is known of accounts on the network; shared with whoever else asks for them
 */
export function apiRoutes(sources: AppSources, receiving = new ReceivingChecks(sources)): Route[] {
  return [
    ...sessionRoutes(sources, receiving),
    ...sessionEventRoutes(sources),
    ...sessionTransactionRoutes(sources),
    ...chargeRoutes(sources),
    ...paymentRoutes(),
    ...exceptionRoutes(),
    ...exportRoutes(sources),
    ...eventRoutes(sources),
    ...endpointRoutes(sources),
    ...deliveryRoutes(sources),
    ...merchantRoutes(),
    ...merchantEndpointRoutes(),
    ...keyRoutes(sources),
    ...accountRoutes(sources, receiving),
  ];
}
