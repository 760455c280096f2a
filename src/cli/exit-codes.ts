/**
 * src/cli: one command per file. A command reads the environment, makes the parts of its role, and hands
 * over; nothing else in the project reads the environment or ends the process.
 */

/** For scripts: documented in `paidonce --help`. */
export const EXIT = { ok: 0, failed: 1, usage: 2, outside: 3 } as const;
