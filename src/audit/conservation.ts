import type { Movement } from "../stellar/credit.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import type { BookedCredit } from "./booked-credits.js";
import type { Difference } from "./difference.js";

/** What one asset came to, in stroops. Sums may pass int64: they are no amounts of the network. */
export type AssetTotals = { credited: bigint; payments: bigint; exceptions: bigint };

export type Totals = Map<string, AssetTotals>;

/** Adds a part of the range to the totals. */
export function addTotals(totals: Totals, told: readonly Movement[], booked: readonly BookedCredit[]): void {
  const of = (asset: string): AssetTotals => {
    const found = totals.get(asset) ?? { credited: 0n, payments: 0n, exceptions: 0n };
    totals.set(asset, found);
    return found;
  };
  for (const movement of told) if (movement.kind === "credit") of(movement.asset).credited += movement.amount;
  for (const { asset, amount, payment, paysCharge, reason } of booked) {
    if (asset === null || amount === null) continue;
    if (payment !== null || paysCharge !== null) of(asset).payments += amount;
    if (reason !== null) of(asset).exceptions += amount;
  }
}

/** G3: per asset, what the network credited equals payments plus exceptions, to the stroop. */
export function checkConservation(totals: Totals): Difference[] {
  return [...totals].flatMap(([asset, { credited, payments, exceptions }]): Difference[] => {
    if (credited === payments + exceptions) return [];
    const [c, p, e] = [credited, payments, exceptions].map((sum) => formatStroops(sum as Stroops));
    return [
      { kind: "not_conserved", subject: asset, detail: `credited ${c}, payments ${p}, exceptions ${e}` },
    ];
  });
}
