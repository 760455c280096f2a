import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { HorizonClient } from "../../src/horizon/client.js";
import { SessionLocks } from "../../src/locks/session-locks.js";
import { type RecoveryReport, recover } from "../../src/recovery/recover.js";
import type { RecoveryParts } from "../../src/recovery/repair.js";
import { connectLockServer, connectRedis } from "../../src/redis/client.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import type { Spine } from "./spine.js";
import { silent } from "./stream.js";

/** Older than recovery's five minutes. */
export const LONG_AGO = () => new Date(Date.now() - 600_000);

/** A session whose transaction was submitted long ago, and of which nothing was heard since. */
export function stuck(hash: string | null, maxTime: Date | null = null): Partial<CheckoutSession> {
  return {
    status: "processing",
    processingSince: LONG_AGO(),
    submittedHash: hash as TransactionHash | null,
    submittedMaxTime: maxTime,
  };
}

/** Runs recovery once against a spine's servers, with connections of its own. */
export async function recoverOn(
  spine: Spine,
  options: Partial<RecoveryParts> & { dryRun?: boolean } = {},
): Promise<RecoveryReport> {
  const { dryRun = false, ...parts } = options;
  const redis = connectRedis(spine.server.target, "test-recovery", silent);
  const lockServer = connectLockServer(spine.server.target, silent);
  if (lockServer.status !== "ready") await new Promise((resolve) => lockServer.once("ready", resolve));
  try {
    return await recover(
      {
        dataSource: spine.database.dataSource,
        redis,
        horizon: new HorizonClient({ url: spine.stage.sandbox.url, timeoutMs: 2_000 }),
        passphrase: spine.stage.network.passphrase,
        afterSeconds: 300,
        maxDeliveries: 5,
        locks: new SessionLocks({ servers: [lockServer], mode: "optional", leaseMs: 5_000, logger: silent }),
        logger: silent,
        signal: new AbortController().signal,
        ...parts,
      },
      { dryRun },
    );
  } finally {
    redis.disconnect();
    lockServer.disconnect();
  }
}

/** What a report says, in short: kind, action and subject of each finding. */
export function told({ findings }: RecoveryReport): string[] {
  return findings.map(({ kind, action, subject }) => `${kind} ${action} ${subject}`);
}
