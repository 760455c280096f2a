import { startStripeSandbox } from "../../stage/stripe-sandbox/server.js";
import type { Books } from "./verdict.js";

/** Who takes the money, and knows best what was taken. */
export type ContrastProvider = {
  readonly url: string;
  readonly key: string;
  /** By order: one entry for each time that money was taken for it, in cents. */
  taken(): Books;
  stop(): Promise<void>;
};

/** A Stripe of its own for one shop: it does no wrong, what is between it and the shop does. */
export async function openProvider(): Promise<ContrastProvider> {
  const key = "sk_test_contrast";
  const stripe = await startStripeSandbox({ apiKey: key });
  return {
    url: stripe.url,
    key,
    taken: () => {
      const books = new Map<string, number[]>();
      for (const { status, metadata, amount_received } of stripe.bank.list()) {
        if (status !== "succeeded") continue;
        const reference = metadata.reference ?? "nobody's";
        books.set(reference, [...(books.get(reference) ?? []), amount_received]);
      }
      return books;
    },
    stop: () => stripe.stop(),
  };
}
