import type { Range } from "../feed.js";
import type { HistoryOperation } from "../history.js";
import { effectRecord } from "../records/effect-record.js";
import { accountFeeds, visibleTransaction } from "./collections.js";
import { type Answer, type Context, collection } from "./context.js";
import { visibleOperation } from "./resources.js";

/** Effects of one operation; their cursors are `<operation id>-<order>`. */
export function operationEffects(context: Context): Answer {
  const operations = [visibleOperation(context)];
  return effectsOf(() => effectRows(operations, context));
}

export function transactionEffects(context: Context): Answer {
  const { operations } = visibleTransaction(context);
  return effectsOf(() => effectRows(operations, context));
}

/** Effects on one account. @throws Problem 404 for an account that never was */
export function accountEffects(context: Context): Answer {
  const [account = ""] = context.params;
  const { operations } = accountFeeds(context);
  return effectsOf((range) => {
    const rows: EffectRow[] = [];
    // From the cursor's own operation on, whose other effects still count.
    let from = range.order === "asc" ? (range.cursor >> ORDER_BITS) - 1n : operationAfter(range.cursor);
    for (;;) {
      const page = operations.page({ ...range, cursor: from }, isSuccessful);
      rows.push(...effectRows(page, context, account).filter(({ id }) => isAfter(id, range)));
      const last = page.at(-1);
      if (last === undefined || page.length < range.limit || rows.length >= range.limit) return rows;
      from = last.id;
    }
  });
}

type EffectRow = {
  readonly id: bigint;
  readonly token: string;
  readonly record: () => ReturnType<typeof effectRecord>;
};

/** Orders fill the low 32 bits, so that one number compares as the pair does. */
const ORDER_BITS = 32n;

/** A cursor that is an operation's id alone skips all its effects (Horizon's CursorInt64Pair). */
const AFTER_ALL_ORDERS = `${2n ** ORDER_BITS - 1n}`;

/** The cursor of a descending query that names none. */
const ALL = 2n ** 63n - 1n;

/** @param read in any order, at least as many as asked for where there are */
function effectsOf(read: (range: Range) => readonly EffectRow[]): Answer {
  return collection(
    (range) => {
      const after = read(range).filter(({ id }) => isAfter(id, range));
      const sign = range.order === "asc" ? 1 : -1;
      return after.sort((a, b) => (a.id < b.id ? -sign : sign)).slice(0, range.limit);
    },
    (text) => {
      const [, toid, order = AFTER_ALL_ORDERS] = /^(\d{1,19})(?:-(\d{1,10}))?$/.exec(text) ?? [];
      return toid === undefined ? null : (BigInt(toid) << ORDER_BITS) + BigInt(order);
    },
  );
}

function isAfter(id: bigint, { order, cursor }: Range): boolean {
  return order === "asc" ? id > cursor : cursor === ALL || id < cursor;
}

function operationAfter(cursor: bigint): bigint {
  return cursor === ALL ? ALL : (cursor >> ORDER_BITS) + 1n;
}

function isSuccessful({ transaction }: HistoryOperation): boolean {
  return transaction.successful;
}

/** @param account only its own; orders count all effects of the operation */
function effectRows(
  operations: readonly HistoryOperation[],
  { base }: Context,
  account?: string,
): EffectRow[] {
  return operations.flatMap((found) =>
    found.effects.flatMap((effect, i) =>
      account !== undefined && effect.account !== account
        ? []
        : [
            {
              id: (found.id << ORDER_BITS) + BigInt(i + 1),
              token: `${found.id}-${i + 1}`,
              record: () => effectRecord(found, effect, i + 1, base),
            },
          ],
    ),
  );
}
