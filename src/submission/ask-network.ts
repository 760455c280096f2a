import type { HorizonClient } from "../horizon/client.js";
import type { HorizonRoot } from "../horizon/reach.js";
import type { SignedTransaction } from "../horizon/transactions.js";
import { readSource, readSubmitted, type TransactionAnswer } from "../horizon/transactions.js";
import {
  type Certainty,
  isInTime,
  type Judged,
  type Judgement,
  judgeTransaction,
} from "./judge-transaction.js";
import { sequenceOf } from "./read-envelope.js";

export type Network = {
  readonly horizon: HorizonClient;
  readonly passphrase: string;
  /**
   * What a server of our network has said of its ledgers, before now: another network knows none of our transactions. It
   * can be a while ago, which only makes a look wait that need not.
   * @throws HorizonError, WrongNetworkError
   */
  readonly root: () => Promise<HorizonRoot>;
};

/** What can be asked about. Without its envelope nothing can be proved by its account's sequence number. */
export type Asked = Judged &
  Pick<SignedTransaction, "hash" | "outerHash" | "account"> & { readonly envelope?: string };

/** What became of a transaction, and what that rests on. */
export type Found = {
  readonly judgement: Judgement;
  readonly answer: TransactionAnswer;
  /** From before the question. */
  readonly root: HorizonRoot;
};

/**
 * Asks the network what has become of a transaction that was handed in, for a session or a charge. Sends nothing.
 * @param certainty what is enough to call it over
 * @throws HorizonError, WrongNetworkError where nobody can say
 */
export async function askNetwork(
  { horizon, passphrase, root }: Network,
  asked: Asked,
  certainty: Certainty,
  signal: AbortSignal,
): Promise<Found> {
  // Before the question: an answer can only be believed about ledgers that were closed when it was given.
  const before = await root();
  const transaction = await readSubmitted(horizon, asked.account, asked, signal);
  // What its server has forgotten matters once its time is over: until then it is sent again in any case.
  const isInDoubt =
    transaction.kind === "absent" && (asked.maxTime === null || !isInTime(asked.maxTime, before));
  const answers = {
    transaction,
    before,
    after: isInDoubt ? await horizon.root(signal) : before,
    source: null,
  };
  const judgement = judgeTransaction(asked, answers, certainty);
  const found = { judgement, answer: transaction, root: before };
  if (judgement.kind !== "unproved" || certainty !== "proved" || asked.envelope === undefined) return found;
  const { source, sequence } = sequenceOf(asked.envelope, passphrase);
  const withSource = { ...answers, source: { answer: await readSource(horizon, source, signal), sequence } };
  return { ...found, judgement: judgeTransaction(asked, withSource, certainty) };
}
