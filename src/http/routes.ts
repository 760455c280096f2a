import type { AppSources } from "./app.js";
import { ReceivingChecks } from "./receiving-checks.js";
import type { Route } from "./route.js";
import { accountRoutes } from "./routes/accounts.js";
import { chargeRoutes } from "./routes/charges.js";
import { eventRoutes } from "./routes/events.js";
import { exceptionRoutes } from "./routes/exceptions.js";
import { exportRoutes } from "./routes/exports.js";
import { keyRoutes } from "./routes/keys.js";
import { merchantEndpointRoutes } from "./routes/merchant-endpoints.js";
import { merchantRoutes } from "./routes/merchants.js";
import { paymentRoutes } from "./routes/payments.js";
import { sessionEventRoutes } from "./routes/session-events.js";
import { sessionTransactionRoutes } from "./routes/session-transactions.js";
import { sessionRoutes } from "./routes/sessions.js";
import { deliveryRoutes } from "./routes/webhook-deliveries.js";
import { endpointRoutes } from "./routes/webhook-endpoints.js";

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
