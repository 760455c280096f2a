/** What was started, each ended in reverse, once, whatever happens. */
export class Ends implements AsyncDisposable {
  readonly #ends: (() => Promise<unknown>)[] = [];
  #running: Promise<void> | null = null;

  push(end: () => Promise<unknown>): void {
    // Started while all is being ended: it has no place any more.
    if (this.#running !== null) this.#running = this.#running.then(() => quietly(end));
    else this.#ends.push(end);
  }

  /** Safe at any time, and twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#running ??= this.#run();
    await this.#running;
  }

  /**
   * Ends it all when somebody presses Ctrl-C, and the process with it.
   * @param name of the command, for what it says
   * @returns aborted from then on
   */
  onSignals(name: string): AbortSignal {
    const interrupted = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        // Whoever asks twice does not want to wait: nothing outlives this process all the same.
        if (interrupted.signal.aborted) process.exit(130);
        interrupted.abort();
        process.stderr.write(`${name}: ${signal}: ending everything\n`);
        void this[Symbol.asyncDispose]().finally(() => process.exit(130));
      });
    }
    return interrupted.signal;
  }

  async #run(): Promise<void> {
    for (const end of this.#ends.reverse()) await quietly(end);
  }
}

async function quietly(end: () => Promise<unknown>): Promise<void> {
  await end().catch((error: unknown) => process.stderr.write(`chaos: could not end something: ${error}\n`));
}
