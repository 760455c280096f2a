/** Lowers one defence: settlement no longer locks the sessions that it decides about. */
import * as original from "../../../src/settlement/find-sessions.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/settlement/find-sessions.js";

replaceModule(import.meta.resolve("../../../src/settlement/find-sessions.js"), import.meta.url);

export const findSessions: typeof original.findSessions = (manager, movements) =>
  original.findSessions(manager, movements, { lock: false });
