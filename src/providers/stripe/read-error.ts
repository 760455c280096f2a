import Stripe from "stripe";
import { NoAnswerError } from "./connect.js";

/** What a failed request says, for whoever has to decide what it means. */
export type Told =
  /** No byte of it can have reached Stripe. */
  | { readonly kind: "not_sent"; readonly detail: string }
  /** Stripe turned it away at the door. */
  | { readonly kind: "busy"; readonly detail: string; readonly retryAfterMs?: number }
  /** Our key is wrong or may not do this: turned away too, and no fault of the charge. */
  | { readonly kind: "misconfigured"; readonly detail: string }
  /**
   * The answer that is kept under this idempotency key is a broken one, or is another request's: under this key Stripe
   * will never say anything else. That says nothing about what was done.
   */
  | { readonly kind: "key_spent"; readonly detail: string }
  | {
      readonly kind: "card";
      readonly code: string | null;
      readonly declineCode: string | null;
      readonly detail: string;
      /** Stripe's own, alone. */
      readonly sentence: string;
    }
  | {
      readonly kind: "invalid";
      readonly status: number;
      readonly code: string | null;
      readonly param: string | null;
      readonly detail: string;
      readonly sentence: string;
    }
  /** It may have been done, or may still be. */
  | { readonly kind: "unsure"; readonly detail: string };

/** Reads whatever the package threw (Stripe docs, "Error handling" and "Advanced error handling"). */
export function readError(error: unknown): Told {
  if (!(error instanceof Stripe.errors.StripeError))
    return { kind: "unsure", detail: `Stripe's answer could not be read (${nameOf(error)})` };
  if (error instanceof Stripe.errors.StripeConnectionError) return unanswered(error);
  const { statusCode: status = 0, headers } = error;
  const code = error.code ?? null;
  const detail = detailOf(error);
  const sentence = sentenceOf(error);
  if (status === 429 || code === "rate_limit") {
    // Another request on the same intent is under way, maybe one of ours that nobody waits for any more.
    if (code === "lock_timeout") return { kind: "unsure", detail };
    return { kind: "busy", detail, ...retryAfter(headers) };
  }
  if (status === 401 || status === 403) return { kind: "misconfigured", detail };
  if (status === 402)
    return { kind: "card", code, declineCode: error.decline_code || null, detail, sentence };
  if (status >= 500 && headers?.["idempotent-replayed"] === "true") return { kind: "key_spent", detail };
  if (status === 400 && error.rawType === "idempotency_error") return { kind: "key_spent", detail };
  if (status === 400 || status === 404)
    return { kind: "invalid", status, code, param: error.param ?? null, detail, sentence };
  return { kind: "unsure", detail };
}

/** Anything that looks like a key, whoever put it there. */
const SECRET = /\b(?:sk|rk|pk|whsec)_[\w*]+/g;

const MAX_DETAIL = 300;

function sentenceOf({ message }: Stripe.errors.StripeError): string {
  return message.replace(SECRET, "(hidden)").slice(0, MAX_DETAIL);
}

function detailOf(error: Stripe.errors.StripeError): string {
  const { statusCode, code, requestId, type } = error;
  // What Stripe says of a wrong key names the key.
  const words = statusCode === 401 ? "" : sentenceOf(error);
  const facts = [statusCode ?? type, code, requestId].filter((fact) => fact !== undefined && fact !== "");
  return `Stripe: ${facts.join(" ")}${words === "" ? "" : `: ${words}`}`.slice(0, MAX_DETAIL);
}

function unanswered({ detail }: Stripe.errors.StripeConnectionError): Told {
  const cause: unknown = detail;
  if (!(cause instanceof NoAnswerError)) return { kind: "unsure", detail: "Stripe: no answer" };
  return { kind: cause.mayHaveLeft ? "unsure" : "not_sent", detail: `Stripe: ${cause.reason}` };
}

function retryAfter(headers: Readonly<Record<string, string>> | undefined): { retryAfterMs?: number } {
  const seconds = headers?.["retry-after"];
  return seconds !== undefined && /^\d{1,6}$/.test(seconds) ? { retryAfterMs: Number(seconds) * 1000 } : {};
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
