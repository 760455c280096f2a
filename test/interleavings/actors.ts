import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import type { VerdictWord } from "../../src/entities/credit.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { cancelSession, expireSessionNow, expireSessions } from "../../src/settlement/end-session.js";
import { giveVerdict, VerdictRefusedError } from "../../src/settlement/give-verdict.js";
import { type Settlement, type SettleOptions, settle } from "../../src/settlement/settle.js";
import { type CreditKey, creditKeyText, type Movement } from "../../src/stellar/credit.js";
import type { Actor } from "./lane.js";

/** A consumer with a batch, or an operator with a replay. */
export function settling(name: string, movements: readonly Movement[], options: SettleOptions = {}): Actor {
  return {
    name,
    run: async (dataSource) => told(await settle(dataSource, movements, options)),
  };
}

/** The job: what it did not get hold of it leaves to its next run, so that its count is nobody's promise. */
export function expiring(name = "expiry"): Actor {
  return {
    name,
    run: async (dataSource) => {
      await expireSessions(dataSource);
    },
  };
}

/** The merchant's request. */
export function cancelling(session: CheckoutSession, name = "cancel"): Actor {
  return {
    name,
    run: (dataSource) =>
      inSerializableTransaction(dataSource, (runner) =>
        cancelSession(runner, session.merchantId, session.id),
      ),
  };
}

/** The merchant's request. */
export function expiringNow(session: CheckoutSession, name = "expire now"): Actor {
  return {
    name,
    run: (dataSource) =>
      inSerializableTransaction(dataSource, (runner) =>
        expireSessionNow(runner, session.merchantId, session.id),
      ),
  };
}

/** The merchant's or the operator's decision, which may be refused. */
export function deciding(
  name: string,
  key: CreditKey,
  verdict: VerdictWord,
  merchantId: string | null = null,
): Actor {
  const request = { key, verdict, note: `by ${name}`, decidedBy: name, merchantId };
  return {
    name,
    run: async (dataSource) => {
      try {
        await inSerializableTransaction(dataSource, (runner) => giveVerdict(runner, request));
        return "decided";
      } catch (error) {
        if (error instanceof VerdictRefusedError) return `${error.kind}: ${error.message}`;
        throw error;
      }
    },
  };
}

/** In the network's order, whatever order the settlements came in. */
export function told(settlements: readonly Settlement[]): string[] {
  return settlements
    .map((settlement) => {
      const outcome = settlement.kind === "recorded" ? settlement.outcome : settlement.recorded;
      const head = `${creditKeyText(settlement.movement)} ${settlement.kind}:`;
      if (outcome.kind === "archived") return `${head} archived`;
      if (outcome.kind === "charge_payment") return `${head} payment of ${outcome.chargeId}`;
      return `${head} ${outcome.kind === "payment" ? "payment" : outcome.reason} ${outcome.sessionId}`;
    })
    .sort();
}
