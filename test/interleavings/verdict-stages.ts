import { settle } from "../../src/settlement/settle.js";
import { anUnreadable, creditFor } from "../support/books.js";
import { deciding, settling } from "./actors.js";
import { opened, scene, short } from "./open-scene.js";
import type { Stage } from "./scene.js";

/** People who decide about what could not be settled, or settle it again, among those whom they may meet. */
export const VERDICTS: Readonly<Record<string, Stage>> = {
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
