/** Wakes one waiter. A ring while nobody waits is kept, so that it can't be missed between two waits. */
export class Bell {
  #rung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Forgets earlier rings: what is fetched after this covers them. */
  reset(): void {
    this.#rung = false;
  }

  /** @returns true as soon as it rings; false after `ms`, or when `signal` aborts */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#rung || signal.aborted) return this.#rung;
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener("abort", wake);
      this.#wake = wake;
    });
    return this.#rung;
  }
}
