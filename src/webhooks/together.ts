import DataLoader from "dataloader";

/** How long the first of a batch waits for others. */
const WINDOW_MS = 5;

/** Of one statement, at the most. */
const MOST = 100;

/**
 * Has what is asked for within a few milliseconds asked in one statement: a busy worker would otherwise commit twice for
 * each delivery, and wait for the disk each time. Nothing is remembered from one statement to the next.
 * @param ask answers in the order of what was asked: an error is thrown for that one, what it throws for all of them
 */
export function together<Asked, Answer>(
  ask: (all: readonly Asked[]) => Promise<(Answer | Error)[]>,
): (one: Asked) => Promise<Answer> {
  const loader = new DataLoader(ask, {
    cache: false,
    maxBatchSize: MOST,
    batchScheduleFn: (send) => void setTimeout(send, WINDOW_MS),
  });
  return (one) => loader.load(one);
}
