import { UNSAID_LAG_MS } from "../../src/horizon/reach.js";
import type { MemoKey } from "../../src/stellar/memo.js";
import type { AskedSession } from "./ledger.js";
import type { Load } from "./load.js";
import type { Order } from "./orders.js";
import { destinationOf, lumens, MORE_THAN_ANYBODY_HAS } from "./payer.js";
import type { SandboxClient } from "./sandbox-client.js";
import type { World } from "./world.js";

/** An envelope that was kept back can apply for no longer than this, and recovery waits as long. */
const VALID_S = 20;

/**
 * Of the network's time: after so much of it recovery knows of each transaction that never came that it never will, since
 * no server can be so far behind. Waiting for it would take most of a short run.
 */
const UNTIL_NOTHING_IS_IN_FLIGHT_S = VALID_S + UNSAID_LAG_MS / 1000 + 10;

/** A ledger for what was sent, and one so late that nothing else can come. */
export async function endSubmissions(sandbox: SandboxClient): Promise<void> {
  await sandbox.closeLedger();
  await sandbox.closeLedger(UNTIL_NOTHING_IS_IN_FLIGHT_S);
}

/**
 * A session whose transaction goes through us: `processing` from before it is submitted until recovery, or its own
 * credit, says what became of it. One kind pays, one fails on the network, and one is never submitted.
 */
export function submitFor(
  world: World,
  load: Load,
  session: AskedSession,
  order: Order,
  decimal: string,
): void {
  const destination = destinationOf(session.account, session.memoKey);
  const amount = order.kind === "submitted-failing" ? MORE_THAN_ANYBODY_HAS : decimal;
  load.aside(
    world.payer.send([lumens(destination, amount)], session.memoKey as MemoKey, {
      validS: VALID_S,
      before: async (hash, maxTime) => {
        const { inSerializableTransaction, beginProcessing } = world.release;
        const begun = await inSerializableTransaction(world.dataSource, (runner) =>
          beginProcessing(runner, session.id, { hash, maxTime }),
        );
        if (begun) world.ledger.carriedOut(order.kind);
        return begun && order.kind !== "submitted-never";
      },
    }),
  );
}
