import type { EntityManager } from "typeorm";

/**
 * A COMMIT that wrote something waits until the synchronous standby has everything up to it. One that wrote nothing
 * does not wait at all, so something is written, and nothing that anybody could see.
 */
const WRITE = `
  SELECT pg_logical_emit_message(true, 'paidonce', '')
  WHERE current_setting('synchronous_standby_names') <> ''`;

/**
 * Resolves when all that could be read so far is on the synchronous standby too, where there is one.
 *
 * A row that was read may not be there yet: a primary that was restarted, or whose wait was cancelled, shows what it
 * committed alone. A caller that takes such a row as proof that its work is done, and then forgets the work, asks here
 * in between.
 *
 * @throws the database's error, or the time-out's while there is no standby: nothing is proven
 */
export async function onStandby(manager: EntityManager): Promise<void> {
  await manager.query(WRITE);
}
