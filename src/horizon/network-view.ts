import type { HorizonClient } from "./client.js";
import type { HorizonRoot } from "./reach.js";

/** How old the root may be where nothing depends on its last minute: every request counts against the rate limit. */
const MAX_AGE_MS = 60_000;

/** What the server says about its ledgers, shared by all accounts of a process: one request serves them all. */
export class NetworkView {
  readonly #client: HorizonClient;
  readonly #passphrase: string | null;
  #last: { readonly root: HorizonRoot; readonly askedAt: number } | null = null;
  #asking: { readonly root: Promise<HorizonRoot>; readonly askedAt: number } | null = null;

  /** @param passphrase the network that the server must serve; null where the caller has seen to it */
  constructor(client: HorizonClient, passphrase: string | null) {
    this.#client = client;
    this.#passphrase = passphrase;
  }

  /** The root, at most a minute old. @throws as `refresh` */
  async current(signal: AbortSignal): Promise<HorizonRoot> {
    return this.since(performance.now() - MAX_AGE_MS, signal);
  }

  /**
   * A root that was asked for at this moment or later, perhaps by another account.
   * @param moment of `performance.now()`
   * @throws as `refresh`
   */
  async since(moment: number, signal: AbortSignal): Promise<HorizonRoot> {
    if (this.#last !== null && this.#last.askedAt >= moment) return this.#last.root;
    if (this.#asking !== null && this.#asking.askedAt >= moment) return this.#asking.root;
    return this.refresh(signal);
  }

  /**
   * The root as it is now.
   * @throws WrongNetworkError when the server serves another network: its payments are not ours
   * @throws HorizonError
   */
  async refresh(signal: AbortSignal): Promise<HorizonRoot> {
    const askedAt = performance.now();
    const root =
      this.#passphrase === null
        ? this.#client.root(signal)
        : this.#client.assertNetwork(this.#passphrase, signal);
    const asking = { root, askedAt };
    this.#asking = asking;
    try {
      const answer = await root;
      this.#last = { root: answer, askedAt };
      return answer;
    } finally {
      if (this.#asking === asking) this.#asking = null;
    }
  }
}
