import fc from "fast-check";
import { expiring } from "./actors.js";
import type { Fate } from "./gate.js";
import type { Actor } from "./lane.js";
import type { Theatre } from "./theatre.js";
import { clock, OPEN_FOR_MS, type World } from "./world.js";
import { cancellingIn, consuming, endingNowIn, ingesting, recovering, submitting } from "./world-actors.js";
import type { Model } from "./world-model.js";

export type Real = { readonly world: World; readonly theatre: Theatre; readonly trace: string[] };

type Command = fc.AsyncCommand<Model, Real>;

/** A command that may always be given. */
function command(text: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => text };
}

/** Takes the first lane that is free; with none of them free there are as many processes as there can be. */
function starting(text: string, actorOf: (model: Model, world: World) => Actor): Command {
  return command(`start ${text}`, async (model, { world, theatre, trace }) => {
    await theatre.waiting();
    const lane = theatre.firstFree();
    if (lane === null) return;
    theatre.expectNoFailure(trace);
    const actor = numbered(actorOf(model, world), lane);
    trace.push(`${actor.name} starts`);
    theatre.start(lane, actor);
  });
}

/** Two consumers are told apart by the lane that they are in. */
function numbered(actor: Actor, lane: number): Actor {
  return { ...actor, name: `${actor.name} #${lane + 1}` };
}

/** Lets one of those that wait go on. */
function going(which: number, steps: number, fate: Fate): Command {
  const text = `${which} goes ${steps} steps${fate === "run" ? "" : ` and is ${fate}`}`;
  return command(text, async (_, { theatre, trace }) => {
    const before = await theatre.waiting();
    const chosen = before[which % Math.max(before.length, 1)];
    for (let i = 1; chosen !== undefined && i <= steps; i++) {
      const open = await theatre.waiting();
      if (!open.some(({ lane }) => lane === chosen.lane)) return;
      trace.push(await theatre.step({ lane: chosen.lane, fate: i === steps ? fate : "run" }));
    }
  });
}

/**
 * @param sessions how many the world has
 * @param consumer the consumers' round; a planted bug where the harness is put to the test
 */
export function worldCommands(
  sessions: number,
  consumer = (world: World) => consuming(world, { takingOver: false }),
  maxCommands = 80,
): fc.Arbitrary<Iterable<Command>> {
  const session = fc.nat(sessions - 1);
  const surplus = fc.constantFrom(0n, 0n, 0n, 5n, -1n);
  const target = fc.oneof(
    { arbitrary: session, weight: 8 },
    fc.constantFrom("unknown" as const, "none" as const),
  );
  const fate = fc.oneof(
    { arbitrary: fc.constant<Fate>("run"), weight: 6 },
    { arbitrary: fc.constantFrom<Fate>("killed before", "killed after"), weight: 1 },
  );
  const pay = fc
    .record({ target, surpluses: fc.array(surplus, { minLength: 1, maxLength: 2 }) })
    .map(({ target, surpluses }) =>
      command(`pay ${target} with surplus ${surpluses.join(" and ")}`, async (model, { world, trace }) => {
        trace.push(`the network: session ${target} is paid, surplus ${surpluses.join(" and ")}`);
        world.pay(model, target, surpluses);
      }),
    );
  const go = fc
    .record({ which: fc.nat(7), steps: fc.integer({ min: 1, max: 6 }), fate })
    .map(({ which, steps, fate }) => going(which, steps, fate));
  const flush = command("flush Redis", async (_, { world, trace }) => {
    trace.push("Redis forgets everything");
    await world.flush();
  });
  const passTime = command("time passes", async (model, { world, trace }) => {
    trace.push("every session's time is over");
    clock.now += 2 * OPEN_FOR_MS;
    world.closeLedger(model);
  });
  // Mostly work, and now and then what disturbs it: a world that is always being ended settles nothing.
  const any = fc.oneof(
    { weight: 40, arbitrary: go },
    { weight: 6, arbitrary: pay },
    { weight: 5, arbitrary: fc.constant(starting("ingest", (_, world) => ingesting(world))) },
    {
      weight: 10,
      arbitrary: fc.constant(starting("consumer", (_, world) => consumer(world))),
    },
    {
      weight: 7,
      arbitrary: fc.constant(starting("sweep", (_, world) => consuming(world, { takingOver: true }))),
    },
    { weight: 3, arbitrary: fc.constant(starting("recovery", (_, world) => recovering(world))) },
    {
      weight: 2,
      arbitrary: session.map((at) =>
        starting(`submission ${at}`, (model, world) => submitting(world, model, at)),
      ),
    },
    { weight: 3, arbitrary: fc.constant(starting("expiry", () => expiring())) },
    {
      weight: 1,
      arbitrary: session.map((at) =>
        starting(`cancel ${at}`, (model, world) => cancellingIn(world, model, at)),
      ),
    },
    {
      weight: 1,
      arbitrary: session.map((at) =>
        starting(`expire now ${at}`, (model, world) => endingNowIn(world, model, at)),
      ),
    },
    { weight: 1, arbitrary: fc.constant(flush) },
    { weight: 1, arbitrary: fc.constant(passTime) },
  );
  return fc.commands([any], { maxCommands, size: "max" });
}
