/** For scripts: documented in `paidonce --help`. */
export const EXIT = { ok: 0, failed: 1, usage: 2, outside: 3 } as const;
