import type { LedgerSequence } from "../stellar/operation-id.js";
import { HorizonError } from "./errors.js";
import { expectFields, ledgerField, timeOrNull } from "./fields.js";

/** A closed ledger, as a server that has ingested it says. */
export type LedgerHead = {
  readonly sequence: LedgerSequence;
  readonly closedAt: Date;
  /** Operations of its successful transactions; null where the server does not say. */
  readonly operations: number | null;
};

/** @throws HorizonError `broken_body` where it is no ledger record */
export function ledgerHead(record: unknown): LedgerHead {
  const fields = expectFields(record, "ledgers");
  const closedAt = timeOrNull(fields.closed_at);
  if (closedAt === null) throw new HorizonError("broken_body", "closed_at is no time", { status: 200 });
  const { operation_count: operations } = fields;
  return {
    sequence: ledgerField(fields, "sequence"),
    closedAt,
    operations: typeof operations === "number" && Number.isSafeInteger(operations) ? operations : null,
  };
}
