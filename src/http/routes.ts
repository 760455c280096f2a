import type { AppSources } from "./app.js";
import type { Route } from "./route.js";
import { accountRoutes } from "./routes/accounts.js";
import { keyRoutes } from "./routes/keys.js";
import { merchantRoutes } from "./routes/merchants.js";
import { sessionRoutes } from "./routes/sessions.js";

/** Every route of the versioned API, in the order of its description. */
export function apiRoutes(sources: AppSources): Route[] {
  return [...sessionRoutes(sources), ...merchantRoutes(), ...keyRoutes(sources), ...accountRoutes(sources)];
}
