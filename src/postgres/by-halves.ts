import { NIL } from "uuid";
import { isDatabaseAway, isOutwaited } from "./database-errors.js";

/** An item that the work could not be done for, and why. */
export type Refused<T> = { readonly item: T; readonly error: unknown };

/**
 * Parts that may end by waiting for too long, each as long as a statement may take. A lock on a whole table holds up every
 * half too: then it is an outage, and not one row.
 */
const MOST_OUTWAITED = 12;

/**
 * Does `work` for all items together; where that fails, for each half by itself, until what is to blame stands alone.
 * Without this one row that the database refuses, or that somebody keeps locked, keeps a whole batch from being done, in
 * every run.
 * @param work all or nothing for what it is given; safe to repeat
 * @returns what `work` has returned for each part that went through, in order, and the items that did not
 * @throws where the database can't serve, or nearly every part waits for too long; what was done until then holds
 */
export async function byHalves<T, R>(
  items: readonly T[],
  work: (part: readonly T[]) => Promise<R>,
): Promise<{ readonly done: readonly R[]; readonly refused: readonly Refused<T>[] }> {
  const [done, refused]: [R[], Refused<T>[]] = [[], []];
  const left: (readonly T[])[] = items.length === 0 ? [] : [items];
  let outwaited = 0;
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    try {
      done.push(await work(part));
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      if (isOutwaited(error) && ++outwaited > MOST_OUTWAITED) throw error;
      const [item] = part;
      if (part.length === 1 && item !== undefined) refused.push({ item, error });
      else left.unshift(part.slice(0, part.length >> 1), part.slice(part.length >> 1));
    }
  }
  return { done, refused };
}

/**
 * The same for all that a statement finds, page by page from one id to the next: what is refused does not stand in front of
 * the others. Every item is tried once.
 * @param pageAfter the ids after this one, in order
 * @param most how many a page has at the most: a shorter one is the last
 * @param work returns how many it was done for
 * @returns how many in all
 * @throws Error as `throwRefused`, once all were tried; as `byHalves`
 */
export async function allByHalves<Id extends string>(
  pageAfter: (after: string) => Promise<readonly { readonly id: Id }[]>,
  most: number,
  work: (part: readonly Id[]) => Promise<number>,
  what: string,
): Promise<number> {
  let count = 0;
  const failed: Refused<Id>[] = [];
  for (let after: string | undefined = NIL; after !== undefined; ) {
    const ids: Id[] = (await pageAfter(after)).map(({ id }) => id);
    const { done, refused } = await byHalves(ids, work);
    count += done.reduce((sum, each) => sum + each, 0);
    failed.push(...refused);
    after = ids.length === most ? ids.at(-1) : undefined;
  }
  throwRefused(failed, what);
  return count;
}

/** @throws Error that names how many of them could not be done, and why the first one could not; nothing where all were */
function throwRefused(refused: readonly Refused<unknown>[], what: string): void {
  const [first] = refused;
  if (first === undefined) return;
  const { item, error } = first;
  const why = error instanceof Error ? error.message : String(error);
  throw new Error(`${refused.length} ${what}, the first of them ${item}: ${why}`, { cause: error });
}
