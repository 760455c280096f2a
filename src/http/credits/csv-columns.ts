import type { ExceptionRecord } from "../../settlement/read-exceptions.js";
import type { PaymentRecord } from "../../settlement/read-payments.js";
import type { SessionWithAnomaly } from "../../settlement/read-sessions.js";
import type { Cell } from "../server/csv.js";
import { presentSession, type Surroundings } from "../sessions/present-session.js";
import { presentException, presentPayment } from "./present-credit.js";

/** The fields of an answer that become columns as they are. */
const SESSION = [
  "id",
  "status",
  "anomaly",
  "amount",
  "asset",
  "account",
  "muxed_id",
  "created_at",
  "expires_at",
  "grace_seconds",
  "paid_at",
] as const;

const CREDIT = [
  "key",
  "session_id",
  "amount",
  "asset",
  "account",
  "from",
  "transaction_hash",
  "muxed_id",
  "closed_at",
] as const;

export function sessionCells(around: Surroundings): Record<string, (row: SessionWithAnomaly) => Cell> {
  return columns(
    (session: SessionWithAnomaly) => {
      const { memo, metadata, ...rest } = presentSession(session, around);
      return { ...rest, ...memoCells(memo), metadata: JSON.stringify(metadata) };
    },
    [...SESSION, "memo_type", "memo", "metadata"],
  );
}

export const paymentCells = columns(
  (payment: PaymentRecord) => {
    const { memo, verdict, ...rest } = presentPayment(payment);
    return { ...rest, ...memoCells(memo), ...verdictCells(verdict) };
  },
  [
    ...CREDIT,
    "memo_type",
    "memo",
    "surplus",
    "settled_at",
    "verdict",
    "note",
    "decided_by",
    "decided_at",
    // Behind all that were there before it: whoever reads a file by position reads it still.
    "charge_id",
  ],
);

export const exceptionCells = columns(
  (exception: ExceptionRecord) => {
    const { memo, verdict, ...rest } = presentException(exception);
    return { ...rest, ...memoCells(memo), ...verdictCells(verdict) };
  },
  [
    ...CREDIT,
    "memo_type",
    "memo",
    "reason",
    "detail",
    "raised_at",
    "open",
    "verdict",
    "note",
    "decided_by",
    "decided_at",
  ],
);

/** One function per column, each row presented once. */
function columns<Row extends object, Name extends string>(
  present: (row: Row) => Readonly<Record<Name, Cell>>,
  names: readonly Name[],
): Record<string, (row: Row) => Cell> {
  let last: { row: Row; cells: Readonly<Record<Name, Cell>> } | null = null;
  const cellsOf = (row: Row) => {
    if (last?.row !== row) last = { row, cells: present(row) };
    return last.cells;
  };
  return Object.fromEntries(names.map((name) => [name, (row: Row) => cellsOf(row)[name]]));
}

function memoCells(memo: { readonly type: string; readonly value: string } | null) {
  return { memo_type: memo?.type ?? null, memo: memo?.value ?? null };
}

type VerdictCells = {
  readonly verdict: string;
  readonly note: string;
  readonly decided_by: string;
  readonly decided_at: string;
};

function verdictCells(verdict: VerdictCells | null): { [Name in keyof VerdictCells]: string | null } {
  return verdict ?? { verdict: null, note: null, decided_by: null, decided_at: null };
}
