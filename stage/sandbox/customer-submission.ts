import { setTimeout as sleep } from "node:timers/promises";
import {
  type FeeBumpTransaction,
  type Horizon,
  NotFoundError,
  type Transaction,
  TransactionFailedError,
} from "@stellar/stellar-sdk";

export type Submitted = { readonly hash: string; readonly ledger: number };

/** Pause before the same envelope goes out again. */
const RETRY_MS = 500;

/** The envelope is valid for 120 s; long before that either it is in or no one will take it. */
const ATTEMPTS = 60;

/** tx_bad_seq from a server that lags looks like a refusal although it applied: asked about this often. */
const BAD_SEQ_ATTEMPTS = 10;

/**
 * Submits until the outcome is known: after anything but a verdict the same envelope again, which can't apply
 * twice, and before any verdict is believed the hash is looked up: tx_bad_seq can mean that it already applied.
 * @throws Error with the result codes when the network refused it
 */
export async function submitUntilKnown(
  server: Horizon.Server,
  transaction: Transaction | FeeBumpTransaction,
): Promise<Submitted> {
  const hash = Buffer.from(transaction.hash()).toString("hex");
  let last: unknown;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      const { ledger } = await server.submitTransaction(transaction, { skipMemoRequiredCheck: true });
      return { hash, ledger };
    } catch (error) {
      last = error;
    }
    const found = await lookUp(server, hash);
    if (found.known && found.successful) return { hash, ledger: found.ledger };
    const codes = last instanceof TransactionFailedError ? last.getResultCodes() : null;
    const doubtful = codes?.transaction === "tx_bad_seq" && attempt < BAD_SEQ_ATTEMPTS;
    const believable = found.known || found.absent;
    if (codes !== null && believable && !doubtful) {
      throw new Error(`refused: ${JSON.stringify(codes)}`, { cause: last });
    }
    await sleep(RETRY_MS);
  }
  throw new Error(`no answer about ${hash}`, { cause: last });
}

type Found =
  | { readonly known: true; readonly ledger: number; readonly successful: boolean }
  | { readonly known: false; readonly absent: boolean };

async function lookUp(server: Horizon.Server, hash: string): Promise<Found> {
  try {
    const record = await server.transactions().transaction(hash).call();
    return { known: true, ledger: record.ledger_attr, successful: record.successful };
  } catch (error) {
    return { known: false, absent: error instanceof NotFoundError };
  }
}
