import type { DataSource } from "typeorm";
import { expireSessions } from "../../src/settlement/end-session.js";
import { parseAsset } from "../../src/stellar/asset.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { creditFor } from "../support/books.js";
import { cancelling, expiring, expiringNow, settling } from "./actors.js";
import { CHARGES } from "./charge-stages.js";
import { type Owner, opened, scene, short } from "./open-scene.js";
import type { Stage } from "./scene.js";
import { VERDICTS } from "./verdict-stages.js";

/** A session that a merchant may still end by hand, and a moment that lies after that. */
const FAR_END = new Date("2199-01-01T00:00:00Z");
const FAR_CLOSE = new Date("2198-01-01T00:00:00Z");

/** Past the end of every test session: what `expiry` waits for. */
const ALL_SETTLED = new Date("2026-11-01T14:00:00Z");

/** The account's ledgers are settled until after every session's end. */
async function passTime(dataSource: DataSource, owner: Owner): Promise<void> {
  await dataSource.query("UPDATE stream_cursors SET settled_through = $2 WHERE account = $1", [
    owner.account,
    ALL_SETTLED,
  ]);
}

const later = async (dataSource: DataSource) => {
  await expireSessions(dataSource);
};

/** Who may meet whom, by what must hold between them. */
const ENDINGS: Readonly<Record<string, Stage>> = {
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
};

/** Everybody who may meet whom. */
export const STAGES: Readonly<Record<string, Stage>> = { ...ENDINGS, ...VERDICTS, ...CHARGES };

/** @throws Error where there is none of this title */
export function stageOf(title: string): Stage {
  const stage = STAGES[title];
  if (stage === undefined) throw new Error(`no stage is called ${title}`);
  return stage;
}
