import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type Router from "@koa/router";
import type { Context, Next } from "koa";
import type { DataSource } from "typeorm";
import type { HorizonClient } from "../../horizon/client.js";
import { databaseFault } from "../../postgres/database-errors.js";
import { inSerializableTransaction } from "../../postgres/serializable.js";
import type { ReceivingChecks } from "../merchants/receiving-checks.js";
import { formBody } from "../server/body.js";
import { Problem } from "../server/problem.js";
import type { RateLimit } from "../server/rate-limit.js";
import { strictRouter } from "../server/route.js";
import { Id } from "../server/values.js";
import { type HandInSources, readSigned, takeTransaction } from "../sessions/session-transactions.js";
import { renderCheckout, renderMessage } from "./page.js";
import { readCheckout } from "./read-checkout.js";
import type { Sep7Signer } from "./sep7.js";
import { type Checkout, canBePaid, viewOf } from "./view.js";

export type CheckoutSources = {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  readonly networkPassphrase: string;
  readonly publicUrl: string;
  /** Null: SEP-7 requests go unsigned. */
  readonly sep7Signer: Sep7Signer | null;
  readonly rateLimit: RateLimit;
  readonly receiving: ReceivingChecks;
};

/** What the page loads, by name: files of this folder, and the countdown, which the page renders with as well. */
export const ASSETS: ReadonlyMap<string, { readonly type: string; readonly body: string }> = new Map([
  ["styles.css", { type: "text/css", body: contentOf("../../../../assets/checkout/styles.css") }],
  ["script.js", { type: "text/javascript", body: contentOf("../../../../assets/checkout/script.js") }],
  ["time-left.js", { type: "text/javascript", body: contentOf("time-left.js") }],
  ["icon.svg", { type: "image/svg+xml", body: contentOf("../../../../assets/checkout/icon.svg") }],
]);

/** @param path seen from dist/src/http/checkout. The link to a source map goes: none is served. */
function contentOf(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

/** One hash over all, so that a page of one release never runs with the script of another, nor with half of it. */
const ASSETS_HASH = createHash("sha256")
  .update(JSON.stringify([...ASSETS]))
  .digest("base64url")
  .slice(0, 16);

const ASSET_BASE = `/pay/assets/${ASSETS_HASH}`;

/** Only files from here. No inline script, no inline style: what a merchant is called can't become either. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** How soon a page that could not be shown tries again, in seconds. */
const RETRY_SECONDS = 10;

/** `GET /pay/:id`, `POST /pay/:id/transaction`, and the files it loads. */
export function checkoutPage(sources: CheckoutSources): Router {
  const router = strictRouter("/pay");
  for (const [name, { type, body }] of ASSETS) {
    router.get(`/assets/${ASSETS_HASH}/${name}`, (context) => {
      context.type = type;
      // Another content has another path.
      context.set("Cache-Control", "public, max-age=31536000, immutable");
      context.body = body;
    });
  }
  router.get("/:id", inWordsForCustomers, async (context) => {
    await sources.rateLimit(context, { kind: "public" });
    const id = Id.safeParse(context.params.id);
    const stored = id.success ? await readCheckout(sources.dataSource.manager, id.data) : null;
    if (stored === null) throw new Problem("not-found", "There is no such checkout session.");
    const { networkPassphrase, publicUrl, sep7Signer: signer } = sources;
    const now = new Date();
    const checkout = canBePaid(stored, now) ? await checked(stored, sources.receiving) : stored;
    const view = viewOf(checkout, { networkPassphrase, publicUrl, signer, now });
    sendPage(context, renderCheckout(view, ASSET_BASE));
  });
  router.post("/:id/transaction", walletCallback(sources));
  return router;
}

/** As the network says now; as it said last, while it gives no answer. */
async function checked(stored: Checkout, receiving: ReceivingChecks): Promise<Checkout> {
  const { obstacle } = await receiving.ask(stored.session);
  return obstacle === "not_checked" ? stored : { ...stored, obstacle };
}

/** A customer gets a page where a program gets a problem document. What we did not foresee is logged further out. */
async function inWordsForCustomers(context: Context, next: Next): Promise<void> {
  try {
    await next();
  } catch (error) {
    const message = context.accepts("html", "json") === "html" ? messageFor(error) : null;
    if (message === null) throw error;
    context.status = message.status;
    sendPage(context, renderMessage(message.title, message.text, ASSET_BASE, message.retrySeconds));
  }
}

type Message = {
  readonly status: number;
  readonly title: string;
  readonly text: string;
  readonly retrySeconds?: number;
};

function messageFor(error: unknown): Message | null {
  if (error instanceof Problem && error.kind === "not-found") {
    return {
      status: 404,
      title: "We can’t find this payment",
      text: "There is no payment request at this address. Please go back to the shop and follow its link again, and don’t send anything until you see the amount and the address here.",
    };
  }
  if (error instanceof Problem && error.kind === "rate-limited") {
    return {
      status: 429,
      title: "One moment, please",
      text: "This page was asked for very often from your network. It tries again by itself. A payment that you have made is not affected.",
      retrySeconds: RETRY_SECONDS,
    };
  }
  const fault = databaseFault(error);
  if (fault !== "unavailable" && fault !== "conflict") return null;
  return {
    status: 503,
    title: "We can’t show this payment right now",
    text: "This page tries again by itself. A payment that you have made is not affected: it is on the network, and will be counted.",
    retrySeconds: RETRY_SECONDS,
  };
}

function sendPage(context: Context, page: string): void {
  context.set("Content-Security-Policy", POLICY);
  // It changes any moment, and is one customer's own.
  context.set("Cache-Control", "no-store");
  context.vary("Accept");
  context.type = "html";
  context.body = page;
}

export type CallbackSources = HandInSources & { readonly rateLimit: RateLimit };

/**
 * `POST /pay/:id/transaction`: where wallets send what their user has signed, as the form field `xdr` (SEP-7,
 * `callback`). Answers programs: a problem document where it is refused.
 */
export function walletCallback(sources: CallbackSources) {
  return async (context: Context): Promise<void> => {
    await sources.rateLimit(context, { kind: "public" });
    const id = Id.safeParse(context.params.id);
    if (!id.success) throw new Problem("not-found", "There is no such checkout session.");
    const { xdr } = await formBody(context);
    if (typeof xdr !== "string") {
      throw new Problem("invalid-request", "Send the signed transaction as the form field xdr, once.", {
        errors: [{ in: "body", field: "xdr", detail: "base64 of a signed TransactionEnvelope" }],
      });
    }
    // A wallet that does not encode its form sends + as it is, which reads as a space. Base64 has none.
    const envelope = await readSigned(sources, id.data, xdr.replaceAll(" ", "+"));
    const { body } = await inSerializableTransaction(sources.dataSource, (runner) =>
      takeTransaction(runner, id.data, envelope, sources),
    );
    context.set("Cache-Control", "no-store");
    context.status = 202;
    context.body = body;
  };
}
