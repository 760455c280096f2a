/** Lets a test wait for what happens instead of for time. */
export class Queue<T> {
  readonly #items: T[] = [];
  #wake: () => void = () => {};

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  async take(count: number): Promise<T[]> {
    while (this.#items.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#items.splice(0, count);
  }
}
