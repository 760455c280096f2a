import type { DataSource } from "typeorm";
import { openGate } from "./gate.js";
import type { Actor } from "./lane.js";
import { readOutcome, type Scene, type Stage } from "./scene.js";
import { type Director, printed, type Theatre } from "./theatre.js";

/** Emptying tables takes as long as a schedule: now and then is enough. */
const SCENES_KEPT = 60;
let scenes = 0;

/** A schedule came to something that no serial order of the same actors comes to, or that must never be. */
export class NotSerialError extends Error {
  override readonly name = "NotSerialError";
}

/**
 * A stage and the outcomes that it may have: those of its actors run one after another, in every order. That is what
 * "as if nobody else were there" means, and it covers what callers were told as well.
 */
export class Race {
  readonly #serial = new Map<string, Promise<Map<string, string>>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly theatre: Theatre,
    private readonly stage: Stage,
  ) {}

  /** Plays one schedule on a fresh scene. @throws NotSerialError, ActorFailedError */
  async run(director: Director): Promise<void> {
    const scene = await this.#scene();
    const { trace, answers, killed } = await this.theatre.play(scene.actors, director);
    await scene.later?.(this.dataSource);
    const { wrong, text } = await readOutcome(this.dataSource, scene, answers);
    if (wrong.length > 0) throw new NotSerialError(`${wrong.join("; ")}${printed(trace)}\n${text}`);
    if ((await this.#outcomes(scene, new Set())).has(text)) return;
    // Who was killed may have run twice, once for itself and once again: a redelivery, a second request.
    const twice = await this.#outcomes(scene, killed);
    if (twice.has(text)) return;
    const orders = [...twice].map(([outcome, order]) => `${order} gives\n${outcome}`).join("\n");
    throw new NotSerialError(
      `no serial order comes to this${printed(trace)}\n${text}\n\nbut these are possible:\n${orders}`,
    );
  }

  /** Some statements look at every account there is: with thousands of them a schedule would take seconds. */
  async #scene(): Promise<Scene> {
    if (++scenes % SCENES_KEPT === 0) {
      await this.dataSource.query("TRUNCATE merchants, stream_cursors, credits CASCADE");
    }
    return this.stage(this.dataSource);
  }

  /** By outcome: the names of one order that comes to it. */
  #outcomes({ actors }: Scene, repeated: ReadonlySet<number>): Promise<Map<string, string>> {
    const key = [...repeated].sort().join();
    const known = this.#serial.get(key) ?? this.#runOrders(orders([...actors.keys(), ...repeated]));
    this.#serial.set(key, known);
    return known;
  }

  async #runOrders(orders: readonly number[][]): Promise<Map<string, string>> {
    const outcomes = new Map<string, string>();
    for (const order of orders) {
      const scene = await this.#scene();
      const answers: unknown[] = [];
      const names: string[] = [];
      for (const i of order) {
        const actor = scene.actors[i] as Actor;
        answers[i] = await actor.run(this.dataSource, openGate());
        names.push(actor.name);
      }
      await scene.later?.(this.dataSource);
      const { wrong, text } = await readOutcome(this.dataSource, scene, answers);
      if (wrong.length > 0)
        throw new NotSerialError(`even in turn, ${names.join(", ")}: ${wrong.join("; ")}\n${text}`);
      outcomes.set(text, names.join(", then "));
    }
    return outcomes;
  }
}

/** Every order of these, repetitions among them counted once. */
function orders(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return [...new Set(items)].flatMap((first) => {
    const at = items.indexOf(first);
    return orders([...items.slice(0, at), ...items.slice(at + 1)]).map((rest) => [first, ...rest]);
  });
}
