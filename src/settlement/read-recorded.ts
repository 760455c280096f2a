import type { EntityManager } from "typeorm";
import type { ChargeId } from "../entities/charge.js";
import type { SessionId } from "../entities/checkout-session.js";
import { type ExceptionReason, readArchivedEnd } from "../entities/credit.js";
import { onStandby } from "../postgres/strict-client.js";
import type { CreditKey, Movement } from "../stellar/credit.js";

/** What Postgres says became of a credit. */
export type RecordedOutcome =
  | { readonly kind: "payment"; readonly sessionId: SessionId }
  | { readonly kind: "charge_payment"; readonly chargeId: ChargeId }
  /** It lies before the end of the archive: what was made of it is told there. */
  | { readonly kind: "archived" }
  | { readonly kind: "exception"; readonly reason: ExceptionReason; readonly sessionId: SessionId | null };

const READ = `
  SELECT c.operation_id::text || '-' || c.move_index::text AS key,
         p.session_id AS paid_session, p.charge_id AS paid_charge, e.reason, e.session_id AS named_session
  FROM unnest($1::bigint[], $2::integer[]) AS wanted (operation_id, move_index)
  JOIN credits c USING (operation_id, move_index)
  LEFT JOIN payments p USING (operation_id, move_index)
  LEFT JOIN payment_exceptions e USING (operation_id, move_index)`;

/**
 * Reads back what is recorded about credits: the answer to a COMMIT whose answer was lost.
 * @returns by `<operation id>-<move index>`; what is not recorded is absent
 */
export async function readRecorded(
  manager: EntityManager,
  keys: readonly CreditKey[],
): Promise<Map<string, RecordedOutcome>> {
  const rows: Row[] = await manager.query(READ, [
    keys.map((key) => key.operationId.toString()),
    keys.map((key) => key.moveIndex),
  ]);
  return new Map(rows.map((row) => [row.key, outcomeOf(row)]));
}

function outcomeOf({ paid_session, paid_charge, reason, named_session }: Row): RecordedOutcome {
  if (paid_session !== null) return { kind: "payment", sessionId: paid_session };
  if (paid_charge !== null) return { kind: "charge_payment", chargeId: paid_charge };
  return { kind: "exception", reason, sessionId: named_session };
}

type Row = {
  key: string;
  paid_session: SessionId | null;
  paid_charge: ChargeId | null;
  reason: ExceptionReason;
  named_session: SessionId | null;
};

/**
 * Tells movements whose range is in the archive from the others. Nothing goes there before every credit of its range is
 * accounted for, so these came a second time; the database refuses them as it would again and again, and who called them
 * unreadable for it would be refused too.
 */
export async function setArchivedAside(
  manager: EntityManager,
  movements: readonly Movement[],
): Promise<{ archived: Movement[]; others: Movement[] }> {
  const end = await readArchivedEnd(manager);
  const { archived = [], others = [] } = Object.groupBy(movements, ({ operationId }) =>
    operationId < end ? "archived" : "others",
  );
  // The caller deletes the entry after this: the end of the archive must have reached the standby.
  if (archived.length > 0) await onStandby(manager);
  return { archived, others };
}
