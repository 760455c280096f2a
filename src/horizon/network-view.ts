import type { HorizonClient, HorizonRoot } from "./client.js";

/** How old the root may be where nothing depends on its last second. */
const MAX_AGE_MS = 10_000;

/** What the server says about its ledgers, shared by all accounts of a process: one request serves them all. */
export class NetworkView {
  readonly #client: HorizonClient;
  readonly #passphrase: string;
  #last: { readonly root: HorizonRoot; readonly at: number } | null = null;
  #asking: Promise<HorizonRoot> | null = null;

  /** @param passphrase the network that the server must serve */
  constructor(client: HorizonClient, passphrase: string) {
    this.#client = client;
    this.#passphrase = passphrase;
  }

  /** What was last heard, however long ago; null before the first answer. Asks nobody. */
  lastHeard(): HorizonRoot | null {
    return this.#last?.root ?? null;
  }

  /** The root, at most ten seconds old: every request counts against the rate limit. @throws as `refresh` */
  async current(signal: AbortSignal): Promise<HorizonRoot> {
    if (this.#last !== null && performance.now() - this.#last.at < MAX_AGE_MS) return this.#last.root;
    return this.refresh(signal);
  }

  /**
   * The root as it is now, or as it was asked for a moment ago by another account.
   * @throws WrongNetworkError when the server serves another network: its payments are not ours
   * @throws HorizonError
   */
  async refresh(signal: AbortSignal): Promise<HorizonRoot> {
    this.#asking ??= this.#ask(signal).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask(signal: AbortSignal): Promise<HorizonRoot> {
    const root = await this.#client.assertNetwork(this.#passphrase, signal);
    this.#last = { root, at: performance.now() };
    return root;
  }
}
