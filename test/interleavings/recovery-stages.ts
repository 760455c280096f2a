import type { Keypair, Transaction } from "@stellar/stellar-sdk";
import type { Redis } from "ioredis";
import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { readPage } from "../../src/horizon/read-page.js";
import { SessionLocks } from "../../src/locks/session-locks.js";
import { markPaidSessions, supplyPayments } from "../../src/recovery/paid-sessions.js";
import type { Run } from "../../src/recovery/repair.js";
import { settleProcessing } from "../../src/recovery/settle-processing.js";
import { settle } from "../../src/settlement/settle.js";
import { creditKeyText, type Movement, type TransactionHash } from "../../src/stellar/credit.js";
import { BEFORE_ALL } from "../../src/stellar/operation-id.js";
import type { Stage as Sandbox } from "../sandbox/stage.js";
import { aSession, openSessions } from "../support/books.js";
import { paymentOf, watchOnStage } from "../support/ingest.js";
import { silent } from "../support/stream.js";
import { cancelling, settling } from "./actors.js";
import type { Actor } from "./lane.js";
import type { Scene, Stage } from "./scene.js";

export type Servers = { readonly redis: Redis; readonly sandbox: Sandbox; readonly payer: Keypair };

/** When every ledger of the sandbox closes: the same in every scene, so that scenes can be compared. */
export const LEDGERS_CLOSE = new Date("2026-11-01T12:00:00Z");
const BEFORE_THAT = new Date("2026-10-01T00:00:00Z");
const LONG_AGO = new Date("2020-01-01T00:00:00Z");

/** One run of those parts of recovery that repair sessions. It asks the sandbox's Horizon. */
function recovering(name: string, servers: Servers): Actor {
  return {
    name,
    run: async (dataSource) => {
      const { redis, sandbox } = servers;
      const run: Run = {
        dataSource,
        redis,
        horizon: new HorizonClient({ url: sandbox.sandbox.url }),
        passphrase: sandbox.network.passphrase,
        // G4: recovery, too, must need no lock.
        locks: new SessionLocks({ servers: [], mode: "off", leaseMs: 1_000, logger: silent }),
        logger: silent,
        signal: new AbortController().signal,
        afterSeconds: 300,
        id: uuidv7(),
        dryRun: false,
        findings: [],
        waiting: 0,
        maxDeliveries: 5,
      };
      await dataSource.query("INSERT INTO recovery_runs (id) VALUES ($1)", [run.id]);
      await settleProcessing(run);
      await supplyPayments(run);
      await markPaidSessions(run);
    },
  };
}

/** A session, and credits that the network really made for it. */
type Opened = { session: CheckoutSession; credits: Movement[]; scene: Omit<Scene, "actors"> };

/**
 * @param payments how many times the session is paid on the network
 * @param submitted what the session's customer signed, and whether it reached the network
 */
async function opened(
  servers: Servers,
  dataSource: DataSource,
  payments: number,
  submitted: "nothing" | "applied" | "too late" = "nothing",
): Promise<Opened> {
  const { sandbox, payer } = servers;
  const owner = await watchOnStage(dataSource, sandbox);
  const session = aSession(owner);
  const { operation, memo } = paymentOf(session);
  const bounds = { minTime: 0, maxTime: submitted === "too late" ? BEFORE_THAT.getTime() / 1000 : 0 };
  const build = () => sandbox.build(payer, [operation], { memo, bounds: { minTime: 0, maxTime: 0 } });
  let signed: Transaction | null = null;
  if (submitted === "too late") signed = sandbox.build(payer, [operation], { memo, bounds });
  for (let i = 0; i < payments; i++) {
    const transaction = build();
    if (submitted === "applied") signed ??= transaction;
    sandbox.apply(transaction);
  }
  const inFlight: Partial<CheckoutSession> = {
    status: "processing",
    processingSince: LONG_AGO,
    submittedHash: signed === null ? null : (Buffer.from(signed.hash()).toString("hex") as TransactionHash),
    submittedMaxTime: submitted === "too late" ? BEFORE_THAT : null,
  };
  await openSessions(dataSource, submitted === "nothing" ? session : { ...session, ...inFlight });
  const horizon = new HorizonClient({ url: sandbox.sandbox.url });
  const { movements } = await readPage(horizon, owner.account, BEFORE_ALL, 200, new AbortController().signal);
  const credits = movements.filter(
    ({ kind, ...movement }) => kind === "credit" && "memo" in movement && movement.memo !== null,
  );
  const named = Object.fromEntries(credits.map((credit, i) => [`credit ${i + 1}`, credit]));
  const hash = inFlight.submittedHash;
  return {
    session,
    credits,
    scene: {
      account: owner.account,
      sessions: { session },
      movements: named,
      // Recovery looks at the session's own troubles; every credit comes through the stream as well.
      later: async (source) => {
        await settle(source, credits);
      },
      ...(hash && { otherNames: { [hash]: "the submitted hash" } }),
    },
  };
}

/** Recovery among those whom it may meet. */
export function recoveryStages(servers: Servers): Readonly<Record<string, Stage>> {
  const recovery = (name = "recovery") => recovering(name, servers);
  return {
    "recovery against the consumer of the same credit": async (dataSource) => {
      const { credits, scene } = await opened(servers, dataSource, 1, "applied");
      return { ...scene, actors: [recovery(), settling("consumer", credits)] };
    },

    "recovery against a second recovery": async (dataSource) => {
      const { scene } = await opened(servers, dataSource, 1, "applied");
      return { ...scene, actors: [recovery("recovery A"), recovery("recovery B")] };
    },

    "recovery against the consumer of another credit of the session": async (dataSource) => {
      const { credits, scene } = await opened(servers, dataSource, 2, "applied");
      return { ...scene, actors: [recovery(), settling("consumer", credits.slice(1))] };
    },

    "rolling back against another customer's payment": async (dataSource) => {
      const { credits, scene } = await opened(servers, dataSource, 1, "too late");
      return { ...scene, actors: [recovery(), settling("consumer", credits)] };
    },

    "rolling back against cancelling": async (dataSource) => {
      const { session, scene } = await opened(servers, dataSource, 0, "too late");
      return { ...scene, actors: [recovery(), cancelling(session)] };
    },

    "supplying a lost payment against the redelivery of its credit": async (dataSource) => {
      const { session, credits, scene } = await opened(servers, dataSource, 1);
      await settle(dataSource, credits);
      await lose(dataSource, session, credits);
      return { ...scene, actors: [recovery(), settling("consumer", credits)] };
    },

    "supplying a lost payment against a second recovery": async (dataSource) => {
      const { session, credits, scene } = await opened(servers, dataSource, 1);
      await settle(dataSource, credits);
      await lose(dataSource, session, credits);
      return { ...scene, actors: [recovery("recovery A"), recovery("recovery B")] };
    },

    "marking a session paid against its second credit": async (dataSource) => {
      const { session, credits, scene } = await opened(servers, dataSource, 2);
      await settle(dataSource, credits.slice(0, 1));
      await dataSource.query("DELETE FROM outbox_events WHERE session_id = $1", [session.id]);
      await dataSource.query(
        "UPDATE checkout_sessions SET status = 'pending', paid_at = NULL WHERE id = $1",
        [session.id],
      );
      return { ...scene, actors: [recovery(), settling("consumer", credits.slice(1))] };
    },
  };
}

/** Recovery against consumer against second recovery. */
export function threeStage(servers: Servers): Stage {
  return async (dataSource) => {
    const { credits, scene } = await opened(servers, dataSource, 2, "applied");
    return {
      ...scene,
      actors: [
        recovering("recovery A", servers),
        settling("consumer", credits),
        recovering("recovery B", servers),
      ],
    };
  };
}

/** The payment, its credit and its event are gone; the session still says that it is paid. */
async function lose(
  dataSource: DataSource,
  session: CheckoutSession,
  credits: readonly Movement[],
): Promise<void> {
  await dataSource.query("DELETE FROM payments WHERE session_id = $1", [session.id]);
  await dataSource.query("DELETE FROM credits WHERE operation_id || '-' || move_index = ANY($1)", [
    credits.map(creditKeyText),
  ]);
  await dataSource.query("DELETE FROM outbox_events WHERE session_id = $1", [session.id]);
}
