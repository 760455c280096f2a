import DataLoader from "dataloader";
import { byHalves } from "../entities/by-halves.js";

/** How long the first of a batch waits for others. */
const WINDOW_MS = 5;

/** Of one statement, at the most. */
const MOST = 100;

/**
 * Has what is asked for within a few milliseconds asked in one statement: a busy worker would otherwise commit twice for
 * each delivery, and wait for the disk each time. Nothing is remembered from one statement to the next.
 *
 * A statement that fails is halved, until what is to blame stands alone: without this a row of one endpoint that is refused,
 * or that somebody keeps locked, makes deliveries of all the others fail.
 * @param ask answers in the order of what was asked: an error is thrown for that one. What it throws is thrown for all of
 *   them only where the database is away
 */
export function together<Asked, Answer>(
  ask: (all: readonly Asked[]) => Promise<(Answer | Error)[]>,
): (one: Asked) => Promise<Answer> {
  const loader = new DataLoader((all: readonly Asked[]) => askByHalves(ask, all), {
    cache: false,
    maxBatchSize: MOST,
    batchScheduleFn: (send) => void setTimeout(send, WINDOW_MS),
  });
  return (one) => loader.load(one);
}

async function askByHalves<Asked, Answer>(
  ask: (all: readonly Asked[]) => Promise<(Answer | Error)[]>,
  all: readonly Asked[],
): Promise<(Answer | Error)[]> {
  const { done, refused } = await byHalves([...all.entries()], async (part) => {
    const answers = await ask(part.map(([, one]) => one));
    return answers.map((answer, i) => [part[i]?.[0], answer] as const);
  });
  const byPlace = new Map(done.flat());
  for (const { item, error } of refused) {
    byPlace.set(item[0], error instanceof Error ? error : new Error(String(error)));
  }
  return all.map((_, place) => byPlace.get(place) as Answer | Error);
}
