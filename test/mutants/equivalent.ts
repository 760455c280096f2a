/** A fault that changes nothing that anybody could see, so that no test can find it. */
export type Equivalent = {
  readonly file: string;
  /** The text that is replaced, wherever it stands in the file, and by what. */
  readonly find: string;
  readonly replace: string;
  /** Why it changes nothing. */
  readonly why: string;
};

const ENCODING = "an empty name of an encoding is UTF-8 to Node too";
const UNREACHED = "for the compiler alone: what was matched before always has this part";

/** Each must be planted, and survive: one that is found, or is there no more, fails the run. */
export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: "src/stellar/account.ts",
    find: 'typeof text === "string"',
    replace: "true",
    why: "StrKey refuses what is no text; asked for the compiler",
  },
  {
    file: "src/stellar/credit.ts",
    find: "a.operationId < b.operationId",
    replace: "a.operationId <= b.operationId",
    why: "equal ids have been told apart one line above",
  },
  { file: "src/stellar/memo.ts", find: '"utf8"', replace: '""', why: ENCODING },
  { file: "src/stellar/memo.ts", find: '""', replace: '"Stryker was here!"', why: UNREACHED },
  { file: "src/stellar/stroops.ts", find: '"0"', replace: '""', why: UNREACHED },
  {
    file: "src/submission/judge-transaction.ts",
    find: '""',
    replace: '"Stryker was here!"',
    why: UNREACHED,
  },
  {
    file: "src/webhooks/retry-schedule.ts",
    find: "status !== null",
    replace: "true",
    why: "no status is neither between 200 and 299 nor one of the overloaded",
  },
  {
    file: "src/backoff.ts",
    find: 'text.endsWith(" GMT")',
    replace: 'text.startsWith(" GMT")',
    why: "GMT said twice is GMT",
  },
  {
    file: "src/stream/entry-mac.ts",
    find: '""',
    replace: '"Stryker was here!"',
    why: "no signature, like the empty text",
  },
  {
    file: "src/stream/entry-mac.ts",
    find: "mac === undefined",
    replace: "false",
    why: "for the compiler alone: where there is an id there is a signature",
  },
  {
    file: "src/providers/stripe/read-event.ts",
    find: "verifier === null",
    replace: "false",
    why: "for the compiler alone: Stripe's package for Node has one",
  },
];
