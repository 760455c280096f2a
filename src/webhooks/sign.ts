import { Webhook } from "standardwebhooks";

/**
 * The headers of Standard Webhooks (standardwebhooks.com).
 * @param id the event's: the same at every attempt, and what receivers deduplicate by
 * @param at when this attempt is made: receivers refuse old ones, so that nobody can replay them
 * @param secrets `whsec_…`, each of which signs: while one is rotated, receivers know one of them
 */
export function signedHeaders(
  id: string,
  at: Date,
  body: string,
  secrets: readonly string[],
): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" "),
  };
}
