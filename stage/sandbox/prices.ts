import { type Asset, parseAsset } from "../../src/stellar/asset.js";

/** `price` units of `receive` are paid for one unit of `send`, as decimal text. */
export type PriceOption = { readonly send: string; readonly receive: string; readonly price: string };

type Ratio = { readonly n: bigint; readonly d: bigint };

/** Fixed prices instead of an order book: unlimited depth, no offers, the reverse pair at the inverse price. */
export class Prices {
  readonly #ratios = new Map<string, Ratio>();

  constructor(readonly options: readonly PriceOption[]) {
    for (const { send, receive, price } of options) {
      const ratio = parseRatio(price);
      const [a, b] = [parseAsset(send), parseAsset(receive)];
      this.#ratios.set(`${a}>${b}`, ratio);
      if (!this.#ratios.has(`${b}>${a}`)) this.#ratios.set(`${b}>${a}`, { n: ratio.d, d: ratio.n });
    }
  }

  /** What `amount` of the first asset becomes along `hops`, rounded down at each; null without a price. */
  forward(hops: readonly Asset[], amount: bigint): bigint | null {
    let value = amount;
    for (const { n, d } of this.#along(hops) ?? []) value = (value * n) / d;
    return this.#along(hops) === null ? null : value;
  }

  /** What it takes of the first asset to end with `amount` of the last, rounded up at each; null without a price. */
  backward(hops: readonly Asset[], amount: bigint): bigint | null {
    const ratios = this.#along(hops);
    if (ratios === null) return null;
    let value = amount;
    for (const { n, d } of ratios.toReversed()) value = (value * d + n - 1n) / n;
    return value;
  }

  #along(hops: readonly Asset[]): Ratio[] | null {
    const ratios: Ratio[] = [];
    for (const [i, to] of hops.entries()) {
      const from = hops[i - 1];
      if (from === undefined || from === to) continue;
      const ratio = this.#ratios.get(`${from}>${to}`);
      if (ratio === undefined) return null;
      ratios.push(ratio);
    }
    return ratios;
  }
}

function parseRatio(text: string): Ratio {
  const match = /^(\d{1,12})(?:\.(\d{1,12}))?$/.exec(text);
  const [, units = "", decimals = ""] = match ?? [];
  const n = BigInt(`${units}${decimals}` || "0");
  if (n === 0n) throw new Error(`a price is positive decimal text, got ${JSON.stringify(text)}`);
  return { n, d: 10n ** BigInt(decimals.length) };
}
