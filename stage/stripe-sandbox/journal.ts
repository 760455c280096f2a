import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import type { PaymentIntent } from "./payment-intent.js";

/**
 * Every change of an intent as a line of JSON, the whole intent each time: a restarted sandbox knows what it took. Lines
 * are handed to the operating system before the answer is sent; they survive the process, not a power cut. Kept answers
 * are not in it: Stripe forgets its keys too.
 */
export class IntentJournal {
  constructor(private readonly path: string) {}

  /**
   * The intents as they were last, the oldest first; cuts off a last line that a crash left unfinished.
   * @throws SyntaxError when a line other than the last is broken
   */
  read(): PaymentIntent[] {
    if (!existsSync(this.path)) return [];
    const bytes = readFileSync(this.path);
    const end = bytes.lastIndexOf("\n") + 1;
    if (end < bytes.length) truncateSync(this.path, end);
    const lines = bytes.subarray(0, end).toString("utf8").split("\n").slice(0, -1);
    const intents = lines.map((line): PaymentIntent => JSON.parse(line));
    return [...new Map(intents.map((intent) => [intent.id, intent])).values()];
  }

  append(intent: PaymentIntent): void {
    appendFileSync(this.path, `${JSON.stringify(intent)}\n`);
  }
}
