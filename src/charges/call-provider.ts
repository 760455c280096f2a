import { within } from "../backoff.js";
import { checkpoint } from "../checkpoints.js";

type Unknown = { readonly kind: "unknown"; readonly detail: string };

/** As the database keeps it (`charges_provider_id_length`). */
const MAX_PROVIDER_ID = 255;

const MAX_DETAIL = 500;

/**
 * Calls a provider, for so long and no longer: one that does not heed its signal is left alone, and what it says later
 * is found by asking. Never throws: what a provider throws, and what can't be kept of its answer, is `unknown`.
 */
export async function callProvider<T extends { readonly kind: string }>(
  timeoutMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | Unknown> {
  await checkpoint("charge.before-call");
  const outcome = await outcomeOf(timeoutMs, call);
  await checkpoint("charge.after-call");
  return outcome;
}

async function outcomeOf<T extends { readonly kind: string }>(
  timeoutMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | Unknown> {
  const deadline = new AbortController();
  try {
    const outcome = await within(timeoutMs, call(deadline.signal), null);
    return outcome === null ? unknown(`no answer within ${timeoutMs} ms`) : keepable(outcome);
  } catch (error) {
    return unknown(error instanceof Error ? error.message : String(error));
  } finally {
    deadline.abort(new Error("the deadline is over"));
  }
}

/** Without it a name or a text that Postgres refuses would be refused again each time that the provider is asked. */
function keepable<T extends { readonly kind: string }>(outcome: T): T | Unknown {
  if ("providerId" in outcome) {
    const { providerId } = outcome;
    const fits = typeof providerId === "string" && providerId !== "" && providerId.length <= MAX_PROVIDER_ID;
    if (!fits || providerId.includes("\u0000")) return unknown("the provider's name for it can't be kept");
  }
  const texts = Object.entries(outcome).filter(([name]) => name === "detail" || name === "sentence");
  return {
    ...outcome,
    ...Object.fromEntries(texts.map(([name, text]) => [name, keepableText(String(text))])),
  };
}

function unknown(detail: string): Unknown {
  return { kind: "unknown", detail: keepableText(detail) };
}

function keepableText(text: string): string {
  return text.replaceAll("\u0000", "\uFFFD").slice(0, MAX_DETAIL);
}
