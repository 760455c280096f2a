import { compareKeys, creditKeyText, type Movement } from "../stellar/credit.js";
import { formatStroops, type Stroops } from "../stellar/stroops.js";
import type { BookedCredit } from "./books.js";
import type { Difference } from "./difference.js";

/**
 * Compares what the network has of a range with what the books hold of it (G1). Pure.
 * @param network every movement of the range, in the network's order
 * @param booked every credit of the range in the books, in the same order
 */
export function compareCredits(network: readonly Movement[], booked: readonly BookedCredit[]): Difference[] {
  const differences: Difference[] = [];
  let [n, b] = [0, 0];
  for (;;) {
    const [movement, row] = [network[n], booked[b]];
    if (movement === undefined && row === undefined) return differences;
    const order = movement === undefined ? 1 : row === undefined ? -1 : compareKeys(movement, row);
    if (order < 0 && movement !== undefined) {
      differences.push(difference("missing", movement, describe(movement)));
      n++;
    } else if (order > 0 && row !== undefined) {
      differences.push(difference("unknown", row, `${row.outcome} of ${row.amount ?? "?"} stroops`));
      b++;
    } else if (movement !== undefined && row !== undefined) {
      differences.push(...compareOne(movement, row), ...placement(row));
      n++;
      b++;
    }
  }
}

function compareOne(movement: Movement, row: BookedCredit): Difference[] {
  if (row.reason === "unreadable") return [difference("unreadable", row, row.detail ?? "no reason given")];
  if (movement.kind === "unreadable") return [difference("unreadable", row, movement.why)];
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ["amount", movement.amount, row.amount],
    ["asset", movement.asset, row.asset],
    ["account", movement.account, row.account],
    ["transaction", movement.transactionHash, row.transactionHash],
    // Credits that were recorded before charges were have none in the books.
    ["inner transaction", row.innerHash === null ? null : movement.innerHash, row.innerHash],
    ["sender", movement.from, row.sender],
    ["memo", movement.memo, row.memoKey],
    ["muxed id", movement.muxed, row.muxedKey],
    ["closed at", movement.closedAt.getTime(), row.closedAt?.getTime()],
  ];
  const wrong = facts.filter(([, network, books]) => network !== books);
  if (wrong.length === 0) return [];
  const words = wrong.map(
    ([name, network, books]) => `${name}: the network says ${network}, the books ${books}`,
  );
  return [difference("altered", row, words.join("; "))];
}

/**
 * A credit is a payment of the session that it names, or of the charge that its transaction was handed in for, or an
 * exception, and never two of these or none.
 */
function placement(row: BookedCredit): Difference[] {
  const isPayment = row.payment !== null || row.paysCharge !== null;
  const places = [row.payment, row.paysCharge, row.reason].filter((place) => place !== null).length;
  if (places !== 1 || (row.outcome === "payment") !== isPayment) {
    return [difference("misplaced", row, `calls itself ${row.outcome}, and is in ${places} places`)];
  }
  const handedIn = row.handedInFor;
  if (handedIn?.status === "failed" && handedIn.account === row.account) {
    return [
      difference("charge_wrongly_failed", row, `its transaction was handed in for charge ${handedIn.id}`),
    ];
  }
  const due = chargeDue(row);
  if (row.paysCharge !== due) {
    return [
      row.paysCharge === null
        ? difference("charge_missed", row, `its transaction was handed in for charge ${due}`)
        : difference("wrong_charge", row, `pays charge ${row.paysCharge}, which it was not handed in for`),
    ];
  }
  return row.payment === null ? [] : paymentOfSession(row, row.payment);
}

/** The charge that a credit has to pay. */
function chargeDue({ handedInFor: charge, account, asset, muxedKey, memoKey }: BookedCredit): string | null {
  if (charge === null || charge.account !== account || charge.asset !== asset) return null;
  const isNamed = charge.memoKey === null || namedIn(charge.memoKey) === namedIn(muxedKey ?? memoKey ?? "");
  if (!isNamed) return null;
  return charge.status === "cancelled" || charge.status === "failed" ? null : charge.id;
}

function paymentOfSession(row: BookedCredit, payment: NonNullable<BookedCredit["payment"]>): Difference[] {
  const { session, surplus, accepted } = payment;
  const due = row.amount === null ? null : row.amount - session.amount;
  const isNamed = namedIn(session.memoKey) === namedIn(row.muxedKey ?? row.memoKey ?? "");
  if (!isNamed || session.account !== row.account || session.asset !== row.asset) {
    return [difference("wrong_session", row, `pays session ${session.id}, which it does not name`)];
  }
  // What a person accepted may be short; nothing else may.
  if (due === null || (due < 0n && !accepted) || surplus !== (due > 0n ? due : 0n)) {
    const asked = formatStroops(session.amount as Stroops);
    return [
      difference(
        "altered",
        row,
        `pays session ${session.id} of ${asked} with a surplus of ${surplus} stroops`,
      ),
    ];
  }
  return [];
}

/**
 * What a memo or a muxed id names: the number, whatever carries it, else the memo itself. Written again here on purpose:
 * an audit that asks the settlement's own rule finds no fault in it.
 */
function namedIn(key: string): string {
  const [kind, value = ""] = key.split(":");
  if (kind === "id" || kind === "muxed") return `number ${value}`;
  const typed = kind === "text" ? Buffer.from(value, "hex").toString("latin1") : "";
  const isNumber = /^\d{1,20}$/.test(typed) && BigInt.asUintN(64, BigInt(typed)).toString() === typed;
  return isNumber ? `number ${typed}` : key;
}

function difference(
  kind: Difference["kind"],
  key: { readonly operationId: Movement["operationId"]; readonly moveIndex: number },
  detail: string,
): Difference {
  return { kind, subject: creditKeyText(key), detail };
}

function describe(movement: Movement): string {
  if (movement.kind === "unreadable") return `unreadable: ${movement.why}`;
  return `${formatStroops(movement.amount)} ${movement.asset} in ${movement.transactionHash}`;
}

/** What one asset came to, in stroops. Sums may pass int64: they are no amounts of the network. */
export type AssetTotals = { credited: bigint; payments: bigint; exceptions: bigint };

export type Totals = Map<string, AssetTotals>;

/** Adds a part of the range to the totals. */
export function addTotals(
  totals: Totals,
  network: readonly Movement[],
  booked: readonly BookedCredit[],
): void {
  const of = (asset: string): AssetTotals => {
    const found = totals.get(asset) ?? { credited: 0n, payments: 0n, exceptions: 0n };
    totals.set(asset, found);
    return found;
  };
  for (const movement of network)
    if (movement.kind === "credit") of(movement.asset).credited += movement.amount;
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
