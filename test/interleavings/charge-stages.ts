import type { DataSource } from "typeorm";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { type ChargeEnding, endCharge } from "../../src/settlement/end-charge.js";
import { settle } from "../../src/settlement/settle.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { creditFor, watchAccount } from "../support/books.js";
import {
  acceptCharge,
  aHandedIn,
  cancelCharge,
  creditOfCharge,
  type HandedIn,
} from "../support/handed-in-charges.js";
import { settling } from "./actors.js";
import type { Actor } from "./lane.js";
import { type Owner, opened, scene } from "./open-scene.js";
import type { Scene, Stage } from "./scene.js";

/** The request that hands it in. Sent again it finds its own: the Idempotency-Key's answer. */
function accepting(handedIn: HandedIn): Actor {
  return {
    name: "acceptance",
    run: async (dataSource) => {
      const [own]: unknown[] = await dataSource.query("SELECT FROM charges WHERE id = $1", [
        handedIn.charge.id,
      ]);
      return own === undefined ? (await acceptCharge(dataSource, handedIn)).kind : "stored";
    },
  };
}

/** The merchant's request. */
function cancelling({ charge }: HandedIn): Actor {
  return {
    name: "cancel",
    run: (dataSource) => inSerializableTransaction(dataSource, (runner) => cancelCharge(runner, charge.id)),
  };
}

/** The worker that holds the lease, with what its provider said. */
function ending({ charge }: HandedIn, how: ChargeEnding, lease: number | null): Actor {
  return {
    name: "worker",
    run: (dataSource) =>
      inSerializableTransaction(dataSource, (runner) =>
        endCharge(runner, charge.id, how, lease === null ? { from: "test" } : { lease }),
      ),
  };
}

async function accepted(dataSource: DataSource, owner: Owner): Promise<HandedIn> {
  const handedIn = aHandedIn(owner);
  await acceptCharge(dataSource, handedIn);
  return handedIn;
}

async function leased(dataSource: DataSource, owner: Owner): Promise<HandedIn> {
  const handedIn = await accepted(dataSource, owner);
  await dataSource.query(
    "UPDATE charges SET status = 'processing', attempts = 1, sends = 1, leased_since = now() WHERE id = $1",
    [handedIn.charge.id],
  );
  return handedIn;
}

function ofCharge(owner: Owner, { charge }: HandedIn, movements: Scene["movements"]): Omit<Scene, "actors"> {
  return { ...scene(owner, [], { ...movements }), charges: { "the charge": charge } };
}

/** The credit of a charge's transaction among those whom it may meet. */
export const CHARGES: Readonly<Record<string, Stage>> = {
  "a charge's credit against the acceptance of that charge": async (dataSource) => {
    const owner = await watchAccount(dataSource);
    const handedIn = aHandedIn(owner);
    const credit = creditOfCharge(handedIn);
    return {
      ...ofCharge(owner, handedIn, { credit }),
      actors: [accepting(handedIn), settling("consumer", [credit])],
    };
  },

  "a charge's credit against the cancelling of that charge": async (dataSource) => {
    const owner = await watchAccount(dataSource);
    const handedIn = await accepted(dataSource, owner);
    const credit = creditOfCharge(handedIn);
    return {
      ...ofCharge(owner, handedIn, { credit }),
      actors: [cancelling(handedIn), settling("consumer", [credit])],
    };
  },

  "a charge's credit against the worker that heard of its success": async (dataSource) => {
    const owner = await watchAccount(dataSource);
    const handedIn = await leased(dataSource, owner);
    const credit = creditOfCharge(handedIn);
    const success = { kind: "succeeded", providerId: handedIn.hash } as const;
    return {
      ...ofCharge(owner, handedIn, { credit }),
      actors: [ending(handedIn, success, 1), settling("consumer", [credit])],
      // A worker settles what it was told before it ends the charge.
      later: async (source) => {
        await settle(source, [credit]);
      },
    };
  },

  "a charge's credit against a second copy of it, the worker's": async (dataSource) => {
    const owner = await watchAccount(dataSource);
    const handedIn = await leased(dataSource, owner);
    const credit = creditOfCharge(handedIn);
    return {
      ...ofCharge(owner, handedIn, { credit }),
      actors: [settling("worker", [credit]), settling("consumer", [credit])],
    };
  },

  "two credits of a charge's transaction, and a session's, in two batches": async (dataSource) => {
    const { owner, sessions, first } = await opened(dataSource, 1);
    const handedIn = await leased(dataSource, owner);
    const half = toStroops(handedIn.charge.amount / 2n);
    const [one, two] = [
      creditOfCharge(handedIn, { amount: half }),
      creditOfCharge(handedIn, { amount: half }),
    ];
    const named = creditFor(first);
    return {
      ...scene(owner, sessions, { one, two, named }),
      charges: { "the charge": handedIn.charge },
      actors: [settling("consumer A", [one, named]), settling("consumer B", [two, named])],
    };
  },
};
