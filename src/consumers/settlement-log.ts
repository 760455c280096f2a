import type { Logger } from "pino";
import type { Settlement } from "../settlement/settle.js";
import { codeOf } from "../stellar/asset.js";
import { creditKeyText, type Movement } from "../stellar/credit.js";
import { formatStroops } from "../stellar/stroops.js";

/**
 * One plain line per credit. A duplicate warns: somebody's customer has paid twice.
 * The line is for people; the truth is the row that it speaks of.
 */
export function logSettlement(logger: Logger, settlement: Settlement): void {
  const { movement } = settlement;
  const facts = {
    operation: creditKeyText(movement),
    tx: movement.transactionHash,
    account: movement.account,
  };
  if (settlement.kind === "redelivered") {
    logger.debug({ ...facts, recorded: settlement.recorded }, "redelivered: already accounted for");
    return;
  }
  const { outcome } = settlement;
  if (outcome.kind === "payment") {
    logger.info(
      { session: outcome.sessionId, ...facts, outcome: "payment", surplus: formatStroops(outcome.surplus) },
      `paid ${value(movement)}  session ${outcome.sessionId}  operation ${facts.operation}`,
    );
    return;
  }
  if (outcome.kind === "charge_payment") {
    logger.info(
      { charge: outcome.chargeId, ...facts, outcome: "payment" },
      `paid ${value(movement)}  charge ${outcome.chargeId}  operation ${facts.operation}`,
    );
    return;
  }
  const line = { session: outcome.sessionId, ...facts, outcome: outcome.reason, detail: outcome.detail };
  const session = outcome.sessionId === null ? "" : `  session ${outcome.sessionId}`;
  const text = `${outcome.reason} ${value(movement)}${session}  operation ${facts.operation}  (${outcome.detail})`;
  if (outcome.reason === "duplicate" || outcome.reason === "unreadable") logger.warn(line, text);
  else logger.info(line, text);
}

function value(movement: Movement): string {
  if (movement.kind === "unreadable") return "a record that could not be read";
  return `${formatStroops(movement.amount)} ${codeOf(movement.asset)}`;
}
