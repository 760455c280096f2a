/**
 * src/locks: Redlock on session ids. A lock makes settlement fast by keeping replicas out of each other's
 * way; it never makes it true (guarantee G4): every caller must be right without it. Only
 * `redlock-adapter.ts` knows the package.
 */

/** Some of the resources are held by somebody else: an ordinary answer, try again in a moment. */
export class LockContendedError extends Error {
  override readonly name = "LockContendedError";
}

/** No quorum of lock servers answered in time: an outage, not a verdict about the resources. */
export class LockUnavailableError extends Error {
  override readonly name = "LockUnavailableError";
}

/** The lease ran out while the work was going on: the reason that the abort signal carries. */
export class LockLostError extends Error {
  override readonly name = "LockLostError";
}
