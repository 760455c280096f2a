/** Runs one piece of work after the other, in the order in which they were asked for; a failure stops none behind it. */
export type Turns = <T>(work: () => Promise<T>) => Promise<T>;

export function takingTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
}
