import * as admin from "./admin.js";
import { accountFeed, claimableBalances, feed, ledgerFeed, ledgers, transactionFeed } from "./collections.js";
import type { Handler } from "./context.js";
import * as effects from "./effects.js";
import * as resource from "./resources.js";
import { friendbot, submit, submitAsync } from "./submission.js";

type Route = { readonly method: "GET" | "POST"; readonly path: string; readonly handler: Handler };

/** All that the server answers; `:name` is one path segment. */
const ROUTES: readonly Route[] = [
  get("/", resource.root),
  get("/fee_stats", resource.feeStats),
  get("/friendbot", friendbot),
  post("/friendbot", friendbot),
  get("/accounts/:id", resource.account),
  get("/accounts/:id/data/:key", resource.accountData),
  get("/accounts/:id/payments", accountFeed("payments")),
  get("/accounts/:id/operations", accountFeed("operations")),
  get("/accounts/:id/transactions", accountFeed("transactions")),
  get("/accounts/:id/effects", effects.accountEffects),
  get("/claimable_balances", claimableBalances),
  get("/payments", feed("payments")),
  get("/operations", feed("operations")),
  get("/operations/:id", resource.operation),
  get("/operations/:id/effects", effects.operationEffects),
  get("/transactions", feed("transactions")),
  get("/transactions/:hash", resource.transaction),
  get("/transactions/:hash/payments", transactionFeed("payments")),
  get("/transactions/:hash/operations", transactionFeed("operations")),
  get("/transactions/:hash/effects", effects.transactionEffects),
  get("/ledgers", ledgers),
  get("/ledgers/:sequence", resource.ledger),
  get("/ledgers/:sequence/payments", ledgerFeed("payments")),
  get("/ledgers/:sequence/operations", ledgerFeed("operations")),
  get("/ledgers/:sequence/transactions", ledgerFeed("transactions")),
  post("/transactions", submit),
  post("/transactions_async", submitAsync),
  get("/sandbox/faults", admin.faults),
  post("/sandbox/faults", admin.faults),
  get("/sandbox/credits", admin.credits),
  post("/sandbox/ledgers", admin.closeLedger),
  post("/sandbox/injections", admin.inject),
  post("/sandbox/bulk", admin.bulk),
];

/** The handler for a request and what stood in its `:name` places; null when there is none. */
export function route(method: string, path: string): { handler: Handler; params: string[] } | null {
  const segments = split(path);
  for (const { method: verb, path: pattern, handler } of ROUTES) {
    const wanted = split(pattern);
    if (verb !== method || wanted.length !== segments.length) continue;
    if (wanted.every((part, i) => part.startsWith(":") || part === segments[i])) {
      return { handler, params: segments.filter((_, i) => wanted[i]?.startsWith(":")) };
    }
  }
  return null;
}

/** Answered from the ledger's state (Horizon's StateMiddleware), not from history: accounts, and what they hold. */
export function isStateRoute(path: string): boolean {
  return /^\/(accounts\/[^/]+(\/data\/[^/]+)?|claimable_balances)$/.test(path);
}

function split(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

function get(path: string, handler: Handler): Route {
  return { method: "GET", path, handler };
}

function post(path: string, handler: Handler): Route {
  return { method: "POST", path, handler };
}
