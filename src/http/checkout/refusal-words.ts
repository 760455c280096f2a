/**
 * Why the last transaction that a wallet handed in did not pay, and what its owner can do about it. Pure.
 *
 * Codes as the network says them (Stellar-transaction.x): `tx_too_late`, `tx_failed (op_underfunded)`. Each text says
 * where the money is: a transaction that failed has moved none, but for its fee.
 * @param resultCode null where there was none, or nothing was said to it
 * @returns null where there is nothing to say: it went through, and what it brought has words of its own
 */
export function refusalWords(resultCode: string | null, shop: string): string | null {
  if (resultCode === null || resultCode.startsWith("tx_success")) return null;
  const [, why] = WHYS.find(([codes]) => codes.test(resultCode)) ?? [];
  return why?.(shop) ?? "The network refused it, and your money was not sent.";
}

/**
 * Why a transaction that is on its way is held up: the network would not take it yet, and is asked again.
 * @param answer what it said last; null where it took it
 * @returns null where nothing need be said: it goes on by itself in a moment
 */
export function delayWords(answer: string | null): string | null {
  if (answer === null) return null;
  const [, why] = DELAYS.find(([codes]) => codes.test(answer)) ?? [];
  return why ?? null;
}

/** Not `tx_bad_seq`: also said of a transaction that has applied. */
const DELAYS: readonly (readonly [codes: RegExp, why: string])[] = [
  [/tx_insufficient_fee/, "The network is busy, and the fee that your wallet offered is too low for it now."],
  [/tx_insufficient_balance/, "There is not enough in the account that you pay from."],
  [/tx_bad_auth/, "It was not signed by all who must sign for that account."],
];

const WHYS: readonly (readonly [codes: RegExp, why: (shop: string) => string])[] = [
  [
    /op_underfunded|tx_insufficient_balance/,
    () =>
      "There is not enough in the account that you paid from, so your money was not sent. Add to it, or use another account.",
  ],
  [
    /op_src_no_trust|op_src_not_authorized/,
    () =>
      "The account that you paid from can’t send this asset, so your money was not sent. Use another account.",
  ],
  [
    /op_no_trust|op_line_full|op_no_destination|op_not_authorized/,
    (shop) =>
      `${shop} can’t receive it at the moment, so your money was not sent. Please tell the shop before you try again.`,
  ],
  [
    /op_too_few_offers|op_over_source_max|op_under_dest_min/,
    () =>
      "The price of what you paid with has changed meanwhile, so your money was not sent. Your wallet will show the new one.",
  ],
  [
    /tx_insufficient_fee/,
    () =>
      "The network is busy, and the fee that your wallet offered was too low, so your money was not sent. Offer a higher fee, if your wallet lets you.",
  ],
  [
    /tx_bad_auth/,
    () =>
      "It was not signed by all who must sign for that account, so your money was not sent. Check your wallet, or use another account.",
  ],
  [
    /tx_bad_seq/,
    () =>
      "Your wallet was sending something else at the same time, so this was not sent. You can try again now.",
  ],
  [
    /tx_too_late|tx_too_early/,
    () => "The network did not take it in time, so your money was not sent. You can try again now.",
  ],
];
