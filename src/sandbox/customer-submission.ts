import { setTimeout as sleep } from "node:timers/promises";
import type { Horizon, Transaction } from "@stellar/stellar-sdk";

export type Submitted = { readonly hash: string; readonly ledger: number };

/** How long one attempt's silence or error may last before the same envelope goes out again. */
const RETRY_MS = 500;

/** The envelope is valid for 120 s; long before that either it is in or no one will take it. */
const ATTEMPTS = 60;

/**
 * Submits until the outcome is known: after anything but a verdict the same envelope again, which can't apply
 * twice, and before any verdict is believed the hash is looked up: tx_bad_seq can mean that it already applied.
 * @throws Error with the result codes when the network refused it
 */
export async function submitUntilKnown(server: Horizon.Server, transaction: Transaction): Promise<Submitted> {
  const hash = Buffer.from(transaction.hash()).toString("hex");
  let last: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(RETRY_MS);
    try {
      const { ledger } = await server.submitTransaction(transaction, { skipMemoRequiredCheck: true });
      return { hash, ledger };
    } catch (error) {
      last = error;
    }
    const found = await lookUp(server, hash);
    if (found?.successful === true) return { hash, ledger: found.ledger };
    const codes = resultCodes(last);
    if (codes !== null) throw new Error(`refused: ${JSON.stringify(codes)}`, { cause: last });
  }
  throw new Error(`no answer about ${hash}`, { cause: last });
}

async function lookUp(
  server: Horizon.Server,
  hash: string,
): Promise<{ ledger: number; successful: boolean } | null> {
  try {
    const record = await server.transactions().transaction(hash).call();
    return { ledger: record.ledger_attr, successful: record.successful };
  } catch {
    return null;
  }
}

/** `extras.result_codes` of a transaction_failed, wherever the SDK's error carries the response. */
function resultCodes(error: unknown): unknown {
  const response = field(error, "response");
  const data = field(response, "data") ?? response;
  return field(field(data, "extras"), "result_codes") ?? null;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
