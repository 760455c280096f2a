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
