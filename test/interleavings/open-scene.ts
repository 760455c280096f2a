import type { DataSource } from "typeorm";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import type { Movement } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import type { Scene } from "./scene.js";

export type Owner = Awaited<ReturnType<typeof watchAccount>>;

/** Opens an account with sessions. */
export async function opened(
  dataSource: DataSource,
  count: number,
  overrides: Partial<CheckoutSession> = {},
): Promise<{ owner: Owner; sessions: CheckoutSession[]; first: CheckoutSession }> {
  const owner = await watchAccount(dataSource);
  const sessions = Array.from({ length: count }, () => aSession(owner, overrides));
  await openSessions(dataSource, ...sessions);
  const [first] = sessions;
  if (first === undefined) throw new Error("no session");
  return { owner, sessions, first };
}

/** A credit that is one stroop short. */
export const short = (session: CheckoutSession) =>
  creditFor(session, { amount: toStroops(session.amount - 1n) });

/** Sessions by number. */
export function scene(
  owner: Owner,
  sessions: readonly CheckoutSession[],
  movements: Record<string, Movement>,
): Omit<Scene, "actors"> {
  const names = Object.fromEntries(sessions.map((session, i) => [`session ${i + 1}`, session]));
  return { account: owner.account, sessions: names, movements };
}
