import type { EntityManager } from "typeorm";
import { readArchivedEnd } from "../entities/archived-end.js";
import { onStandby } from "../postgres/strict-client.js";
import type { Movement } from "../stellar/credit.js";

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
