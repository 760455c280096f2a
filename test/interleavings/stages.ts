import type { DataSource } from "typeorm";
import type { CheckoutSession } from "../../src/entities/checkout-session.js";
import { expireSessions } from "../../src/settlement/expire-sessions.js";
import { settle } from "../../src/settlement/settle.js";
import { parseAsset } from "../../src/stellar/asset.js";
import type { Movement } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { anUnreadable, aSession, creditFor, openSessions, watchAccount } from "../support/books.js";
import { cancelling, deciding, expiring, expiringNow, settling } from "./actors.js";
import type { Stage } from "./scene.js";

/** A session that a merchant may still end by hand, and a moment that lies after that. */
const FAR_END = new Date("2199-01-01T00:00:00Z");
const FAR_CLOSE = new Date("2198-01-01T00:00:00Z");

/** Past the end of every test session: what `expiry` waits for. */
const ALL_SETTLED = new Date("2026-11-01T14:00:00Z");

type Owner = Awaited<ReturnType<typeof watchAccount>>;

/** Opens an account with sessions. */
async function opened(
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

/** The account's ledgers are settled until after every session's end. */
async function passTime(dataSource: DataSource, owner: Owner): Promise<void> {
  await dataSource.query("UPDATE stream_cursors SET settled_through = $2 WHERE account = $1", [
    owner.account,
    ALL_SETTLED,
  ]);
}

const short = (session: CheckoutSession) => creditFor(session, { amount: toStroops(session.amount - 1n) });

const later = async (dataSource: DataSource) => {
  await expireSessions(dataSource);
};

function scene(owner: Owner, sessions: readonly CheckoutSession[], movements: Record<string, Movement>) {
  const names = Object.fromEntries(sessions.map((session, i) => [`session ${i + 1}`, session]));
  return { account: owner.account, sessions: names, movements };
}

/** Who may meet whom, by what must hold between them. */
export const STAGES: Readonly<Record<string, Stage>> = {
  "redelivery against redelivery: one credit, two consumers": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    return {
      ...scene(owner, sessions, { credit }),
      actors: [settling("consumer A", [credit]), settling("consumer B", [credit])],
    };
  },

  "two credits for one session": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const one = creditFor(first);
    const two = creditFor(first, { amount: toStroops(first.amount + 5n) });
    return {
      ...scene(owner, sessions, { one, two }),
      actors: [settling("consumer A", [one]), settling("consumer B", [two])],
    };
  },

  "expiry against payment": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    await passTime(dataSource, owner);
    const credit = creditFor(first);
    return {
      ...scene(owner, sessions, { credit }),
      actors: [expiring(), settling("consumer", [credit])],
      later,
    };
  },

  "expiry against a payment that is short": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    await passTime(dataSource, owner);
    const credit = short(first);
    return {
      ...scene(owner, sessions, { credit }),
      actors: [expiring(), settling("consumer", [credit])],
      later,
    };
  },

  "expiry against expiry": async (dataSource) => {
    const { owner, sessions } = await opened(dataSource, 2);
    await passTime(dataSource, owner);
    return { ...scene(owner, sessions, {}), actors: [expiring("expiry A"), expiring("expiry B")], later };
  },

  "cancel against payment": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    return {
      ...scene(owner, sessions, { credit }),
      actors: [cancelling(first), settling("consumer", [credit])],
    };
  },

  "cancel against expiry": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    await passTime(dataSource, owner);
    return { ...scene(owner, sessions, {}), actors: [cancelling(first), expiring()], later };
  },

  "the merchant's expire-now against payment": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1, { expiresAt: FAR_END });
    const credit = creditFor(first, { closedAt: FAR_CLOSE });
    return {
      ...scene(owner, sessions, { credit }),
      actors: [expiringNow(first), settling("consumer", [credit])],
    };
  },

  "accept against payment": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const little = short(first);
    await settle(dataSource, [little]);
    const credit = creditFor(first);
    return {
      ...scene(owner, sessions, { little, credit }),
      actors: [deciding("merchant", little, "accept", owner.merchantId), settling("consumer", [credit])],
    };
  },

  "accept against a second accept of the same credit": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const little = short(first);
    await settle(dataSource, [little]);
    return {
      ...scene(owner, sessions, { little }),
      actors: [
        deciding("merchant", little, "accept", owner.merchantId),
        deciding("operator", little, "accept"),
      ],
    };
  },

  "accept against a refund of the same credit": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const little = short(first);
    await settle(dataSource, [little]);
    return {
      ...scene(owner, sessions, { little }),
      actors: [
        deciding("merchant", little, "accept", owner.merchantId),
        deciding("operator", little, "refund"),
      ],
    };
  },

  "accept against the accept of another credit of the session": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const [one, two] = [short(first), short(first)];
    await settle(dataSource, [one, two]);
    return {
      ...scene(owner, sessions, { one, two }),
      actors: [deciding("merchant", one, "accept", owner.merchantId), deciding("operator", two, "accept")],
    };
  },

  "accept against a redelivery of the accepted credit": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const little = short(first);
    await settle(dataSource, [little]);
    return {
      ...scene(owner, sessions, { little }),
      actors: [deciding("merchant", little, "accept", owner.merchantId), settling("consumer", [little])],
    };
  },

  "batch against overlapping batch in another order": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 3);
    const [a, b, c] = sessions.map((session) => creditFor(session));
    if (a === undefined || b === undefined || c === undefined) throw new Error("no credits");
    const again = creditFor(first);
    const usd = creditFor(first, { asset: parseAsset(`USD:${owner.account}`) });
    return {
      ...scene(owner, sessions, { a, b, c, again, usd }),
      actors: [settling("consumer A", [a, usd, b, again]), settling("consumer B", [again, c, b])],
    };
  },

  "a replay of what was unreadable against its redelivery": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    const { operationId } = credit;
    const unreadable = anUnreadable(owner.account, { operationId });
    await settle(dataSource, [unreadable]);
    return {
      ...scene(owner, sessions, { unreadable, credit }),
      actors: [settling("operator", [credit], { replay: true }), settling("consumer", [unreadable])],
    };
  },

  "two replays of what was unreadable": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    const unreadable = anUnreadable(owner.account, { operationId: credit.operationId });
    await settle(dataSource, [unreadable]);
    return {
      ...scene(owner, sessions, { unreadable, credit }),
      actors: [
        settling("operator A", [credit], { replay: true }),
        settling("operator B", [credit], { replay: true }),
      ],
    };
  },

  "a replay against another payment of the session": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    const unreadable = anUnreadable(owner.account, { operationId: credit.operationId });
    await settle(dataSource, [unreadable]);
    const other = creditFor(first);
    return {
      ...scene(owner, sessions, { unreadable, credit, other }),
      actors: [settling("operator", [credit], { replay: true }), settling("consumer", [other])],
    };
  },

  "a replay against the dismissal of what was unreadable": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    const unreadable = anUnreadable(owner.account, { operationId: credit.operationId });
    await settle(dataSource, [unreadable]);
    return {
      ...scene(owner, sessions, { unreadable, credit }),
      actors: [
        settling("operator", [credit], { replay: true }),
        deciding("merchant", unreadable, "dismiss", owner.merchantId),
      ],
    };
  },

  "burying a credit against the consumer that settles it after all": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const credit = creditFor(first);
    const unreadable = anUnreadable(owner.account, { operationId: credit.operationId });
    return {
      ...scene(owner, sessions, { unreadable, credit }),
      actors: [settling("sweep", [unreadable]), settling("consumer", [credit])],
    };
  },
};

/** @throws Error where there is none of this title */
export function stageOf(title: string): Stage {
  const stage = STAGES[title];
  if (stage === undefined) throw new Error(`no stage is called ${title}`);
  return stage;
}
