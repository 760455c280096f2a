import { setTimeout as sleep } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { createSession } from "../../src/settlement/create-session.js";
import { NATIVE } from "../../src/stellar/asset.js";
import { textMemo } from "../../src/stellar/memo.js";
import type { Stroops } from "../../src/stellar/stroops.js";
import type { Load } from "./load.js";
import type { World } from "./world.js";

const AMOUNT = 777n as Stroops;

const POLL_MS = 100;

const UNPAID = `SELECT count(*)::int AS n FROM checkout_sessions WHERE id = ANY ($1::uuid[]) AND status <> 'paid'`;

/**
 * How long after a fault the system is back: one new payment to every account is sent when the fault has ended, and
 * this resolves when all of them are settled.
 * @returns seconds from the call; null when the signal aborted first
 */
export async function secondsToRecover(
  world: World,
  load: Load,
  signal: AbortSignal,
): Promise<number | null> {
  const startedAt = performance.now();
  const ids: string[] = [];
  for (const { account, merchantId } of world.street.shops) {
    const opened = await untilDone(async () => {
      // One that was committed without an answer is in the way of the same memo: each attempt has its own.
      const memo = uuidv7().replaceAll("-", "").slice(4);
      const memoKey = textMemo(Buffer.from(memo));
      const expiresAt = new Date(Date.now() + 86_400_000);
      const wish = { merchantId, account, memoKey, asset: NATIVE, amount: AMOUNT, expiresAt };
      const { id } = await createSession(world.dataSource.manager, wish);
      return { ...wish, id, memo, expiresAt: expiresAt.getTime(), cancelled: false };
    }, signal);
    if (opened === null) return null;
    const { memo, ...session } = opened;
    const { memoKey } = session;
    ids.push(session.id);
    world.ledger.note(session);
    load.pay({ to: account, memo, memoKey, amount: AMOUNT });
  }
  while (!signal.aborted) {
    await sleep(POLL_MS);
    const rows = await untilDone<{ n: number }[]>(() => world.dataSource.query(UNPAID, [ids]), signal);
    if (rows?.[0]?.n === 0) return (performance.now() - startedAt) / 1000;
  }
  return null;
}

async function untilDone<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  while (!signal.aborted) {
    try {
      return await work();
    } catch {
      await sleep(POLL_MS);
    }
  }
  return null;
}
