export type Order = "asc" | "desc";

/** What a request may see and where it starts; ids strictly after (asc) or before (desc) the cursor. */
export type Range = {
  readonly cursor: bigint;
  readonly order: Order;
  readonly limit: number;
  /** First and last id that the view holds: retention below, the newest visible ledger above. */
  readonly floor: bigint;
  readonly ceiling: bigint;
};

/** Items in the order of their ids, paged by binary search: 100,000 payments cost what ten cost. */
export class Feed<T extends { readonly id: bigint }> {
  #items: T[] = [];
  #start = 0;

  get size(): number {
    return this.#items.length - this.#start;
  }

  get last(): T | undefined {
    return this.size > 0 ? this.#items.at(-1) : undefined;
  }

  append(item: T): void {
    this.#items.push(item);
  }

  find(id: bigint): T | undefined {
    const item = this.#items[this.#firstFrom(id)];
    return item?.id === id ? item : undefined;
  }

  page(range: Range, accept: (item: T) => boolean = () => true): T[] {
    const found: T[] = [];
    if (range.order === "asc") {
      const from = range.cursor + 1n > range.floor ? range.cursor + 1n : range.floor;
      for (let i = this.#firstFrom(from); i < this.#items.length && found.length < range.limit; i++) {
        const item = this.#items[i];
        if (item === undefined || item.id > range.ceiling) break;
        if (accept(item)) found.push(item);
      }
      return found;
    }
    const before = range.cursor <= range.ceiling ? range.cursor : range.ceiling + 1n;
    for (let i = this.#firstFrom(before) - 1; i >= this.#start && found.length < range.limit; i--) {
      const item = this.#items[i];
      if (item === undefined || item.id < range.floor) break;
      if (accept(item)) found.push(item);
    }
    return found;
  }

  /** Forgets everything below `id`. The array is only rebuilt when half of it is dead. */
  dropBefore(id: bigint): T[] {
    const end = this.#firstFrom(id);
    const dropped = this.#items.slice(this.#start, end);
    this.#start = end;
    if (this.#start * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#start);
      this.#start = 0;
    }
    return dropped;
  }

  #firstFrom(id: bigint): number {
    let [low, high] = [this.#start, this.#items.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const item = this.#items[middle];
      if (item !== undefined && item.id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
