import type { EntityManager } from "typeorm";
import { type OperationId, parseOperationId } from "../stellar/operation-id.js";

/** Credits before this operation were taken out of the books into the archive; 0 where none were. */
export async function readArchivedEnd(manager: EntityManager): Promise<OperationId> {
  const [row]: { archived_end: string }[] = await manager.query("SELECT archived_end()");
  return parseOperationId(row?.archived_end);
}
