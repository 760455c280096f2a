/** Lowers one defence: settlement no longer locks the sessions that it decides about. */
import { SESSION_COLUMNS, type SessionRow, sessionOfRow } from "../../../src/entities/checkout-session.js";
import * as original from "../../../src/settlement/find-sessions.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/settlement/find-sessions.js";

replaceModule(import.meta.resolve("../../../src/settlement/find-sessions.js"), import.meta.url);

const READ = `SELECT ${SESSION_COLUMNS} FROM checkout_sessions s WHERE s.id = ANY ($1::uuid[])`;

export const lockSessions: typeof original.lockSessions = async (manager, movements) => {
  const named = await original.nameSessions(manager, movements);
  const rows: SessionRow[] = await manager.query(READ, [named.ids()]);
  return new original.NamedSessions(rows.map(sessionOfRow));
};
