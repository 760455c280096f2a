import { aboutSession } from "../findings/finding.js";
import { markPaid } from "../settlement/mark-paid.js";
import { creditKeyText } from "../stellar/credit.js";
import { PAYMENT_WITHOUT_PAID, readBroken } from "./broken-sessions.js";
import { eachOf } from "./each-of.js";
import { type Run, repairSession } from "./repair.js";

/**
 * Sessions that have a payment and are not `paid`: the payment stands, so they are, and their merchant is told if
 * that has not happened yet. A payment whose credit does not name the session is left for a person.
 * @throws the database's error; what was done until then holds
 */
export async function markPaidSessions(run: Run): Promise<void> {
  await eachOf(run, await readBroken(run, PAYMENT_WITHOUT_PAID), ({ id, account, status }) =>
    repairSession(run, { id, account }, async (runner) => {
      const marking = await markPaid(runner, id);
      if (marking.kind === "nothing_to_do") return null;
      const found = { kind: "payment_without_paid", before: { status } } as const;
      if (marking.kind === "unfit") {
        const detail = `Session ${id} is ${status} and has a payment, but ${marking.why}: somebody wrote to the database. \`paidonce audit\` tells more.`;
        return aboutSession(id, { ...found, action: "needs_person", detail, evidence: {}, after: {} });
      }
      const { credit } = marking;
      return aboutSession(id, {
        ...found,
        action: "marked_paid",
        detail: `Session ${id} was ${status} although credit ${creditKeyText(credit)} had paid it`,
        evidence: { credit: creditKeyText(credit), hash: credit.transactionHash },
        after: { status: "paid", paid_at: credit.closedAt.toISOString() },
      });
    }),
  );
}
