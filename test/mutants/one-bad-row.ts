import type { Mutant } from "./list.js";

const EXPIRY = "test/settlement/expire-sessions.test.ts";
const CHARGES = "test/charges/sweep-charges.test.ts";
const SWEEP = "test/consumers/sweep.test.ts";
const NETWORK = "test/consumers/network.test.ts";
const DELIVER = "test/webhooks/deliver.test.ts";
const EACH = "test/recovery/each-of.test.ts";
const STATUS = "test/status/collect-status.test.ts";

/** Faults by which one row, account, endpoint or key holds up all the others. */
export const ONE_BAD_ROW: readonly Mutant[] = [
  {
    file: "src/postgres/by-halves.ts",
    find: "if (part.length === 1 && item !== undefined) refused.push({ item, error });",
    replace: "if (true) throw error;",
    test: EXPIRY,
    what: "a session that is refused keeps its batch from expiring",
  },
  {
    file: "src/postgres/by-halves.ts",
    find: "if (isDatabaseAway(error)) throw error;",
    replace: "if (isDatabaseAway(error) || isOutwaited(error)) throw error;",
    test: EXPIRY,
    what: "a session that is locked keeps its batch from expiring",
  },
  {
    file: "src/postgres/by-halves.ts",
    find: "  throwRefused(failed, what);\n",
    replace: "",
    test: EXPIRY,
    what: "nobody hears of a session that can't be expired",
  },
  {
    file: "src/charges/due-charges.ts",
    find: "ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
    replace: "ORDER BY id FOR NO KEY UPDATE",
    test: CHARGES,
    what: "the sweep of charges waits for one that is locked",
  },
  {
    file: "src/charges/due-charges.ts",
    find: " FOR NO KEY UPDATE OF a SKIP LOCKED",
    replace: "",
    test: CHARGES,
    what: "one attempt that is locked keeps the others from being called lost",
  },
  {
    file: "src/consumers/sweep.ts",
    find: "if (!isOfRow(error)) throw error;",
    replace: "throw error;",
    test: SWEEP,
    what: "an entry that can't be moved to the dead letters keeps others from being taken over",
  },
  {
    file: "src/consumers/stream-reader.ts",
    find: "if (!isNoStreamError(error)) throw error;",
    replace: "throw error;",
    test: SWEEP,
    what: "one key of the wrong type stops the reading of every stream",
  },
  {
    file: "src/ingest/network-members.ts",
    find: "FOR NO KEY UPDATE SKIP LOCKED\n  ), joined",
    replace: "FOR NO KEY UPDATE\n  ), joined",
    test: NETWORK,
    what: "one account that is locked keeps all others from joining the network's feed",
  },
  {
    file: "src/ingest/network-members.ts",
    find: '      if (row?.is_any !== false) return { kind: "held" };\n',
    replace: "",
    test: NETWORK,
    what: "the network's feed ends under an account that could not leave it",
  },
  {
    file: "src/webhooks/deliver.ts",
    find: "(all: readonly Asked[]) => askByHalves(ask, all)",
    replace: "ask",
    test: DELIVER,
    what: "one delivery that is refused makes all of its statement fail",
  },
  {
    file: "src/webhooks/attempts.ts",
    find: "FOR NO KEY UPDATE OF d SKIP LOCKED",
    replace: "FOR NO KEY UPDATE OF d",
    test: DELIVER,
    what: "a claim waits for a delivery that is locked",
  },
  {
    file: "src/webhooks/endpoints.ts",
    find: " FOR NO KEY UPDATE OF d SKIP LOCKED",
    replace: "",
    test: DELIVER,
    what: "one delivery that is locked keeps the others from being given up",
  },
  {
    file: "src/webhooks/secrets.ts",
    find: "FOR UPDATE SKIP LOCKED",
    replace: "FOR UPDATE",
    test: "test/webhooks/secrets.test.ts",
    what: "one secret that is locked keeps all others from being encrypted",
  },
  {
    file: "src/submission/submissions.ts",
    find: "FOR NO KEY UPDATE SKIP LOCKED",
    replace: "FOR NO KEY UPDATE",
    test: "test/submission/claim-submission.test.ts",
    what: "a worker waits for a transaction that is locked",
  },
  {
    file: "src/recovery/repair.ts",
    find: "return (await whyAway(horizon, error, signal)) !== null;",
    replace: "return error instanceof HorizonError;",
    test: EACH,
    what: "one page that times out is an outage",
  },
  {
    file: "src/recovery/repair.ts",
    find: "error instanceof LockUnavailableError || isDatabaseAway(error)",
    replace: "error instanceof LockUnavailableError || isDatabaseAway(error) || isOutwaited(error)",
    test: EACH,
    what: "one row that is locked is an outage",
  },
  {
    file: "src/jobs/check-receiving-accounts.ts",
    find: "  await eachOf({ horizon, signal }, taken, async ({ account, assets }) => {",
    replace:
      "  const inTurn = async (_: unknown, all: typeof taken, work: (one: (typeof taken)[number]) => Promise<void>) => { for (const one of all) await work(one); };\n  await inTurn({ horizon, signal }, taken, async ({ account, assets }) => {",
    test: "test/http/payable.test.ts",
    what: "an account whose answer can't be kept ends the check of all others",
  },
  {
    file: "src/jobs/worker.ts",
    find: "const [numbered] = await Promise.allSettled([numbering]);",
    replace:
      'const numbered: PromiseSettledResult<number> = { status: "fulfilled", value: await numbering };',
    test: "test/jobs/charges.test.ts",
    what: "events that can't be relayed keep charges from being made",
  },
  {
    file: "src/jobs/scheduled-jobs.ts",
    find: " FOR UPDATE SKIP LOCKED",
    replace: "",
    test: "test/jobs/forget-idempotency-keys.test.ts",
    what: "one key that is locked keeps all others from being forgotten",
  },
  {
    file: "src/status/read-books.ts",
    find: "    if (isDatabaseAway(error)) throw error;\n    return null;",
    replace: "    throw error;",
    test: STATUS,
    what: "one table that can't be read makes all of the status unknown",
  },
  {
    file: "src/status/collect-status.ts",
    find: "  } catch {\n    return 0;\n  }",
    replace: "  } catch (error) {\n    throw error;\n  }",
    test: STATUS,
    what: "one forged tail leaves nobody a status",
  },
  {
    file: "src/cli/exceptions.ts",
    find: "    // One that fails keeps no other from being decided.\n",
    replace: "    if (!(error instanceof VerdictRefusedError)) throw error;\n",
    test: "test/cli/exceptions.test.ts",
    what: "one verdict that fails keeps the others from being given",
  },
  {
    file: "src/history/prepare-partitions.ts",
    find: "      failures.push(error);\n",
    replace: "      throw error;\n",
    test: "test/history/partitions.test.ts",
    what: "one month that can't be made keeps all later ones from being made",
  },
];
