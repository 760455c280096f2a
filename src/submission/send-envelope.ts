import type { HorizonClient } from "../horizon/client.js";

export type Sent = { readonly refusal: string | null; readonly askedMs: number | null };

export async function sendEnvelope(
  client: HorizonClient,
  envelope: string,
  signal: AbortSignal,
): Promise<Sent> {
  try {
    const response = await fetch(new URL("transactions_async", `${client.url}/`), {
      method: "POST",
      body: new URLSearchParams({ tx: envelope }),
      signal,
    });
    const body = (await response.json()) as { tx_status?: string };
    return { refusal: body.tx_status === "ERROR" ? "unreadable" : null, askedMs: null };
  } catch {
    signal.throwIfAborted();
    return { refusal: null, askedMs: null };
  }
}
