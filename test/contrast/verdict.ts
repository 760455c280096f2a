import { type Order, SCENARIOS, type ScenarioName } from "./plan.js";

/** Money by order, in cents: one entry for each time. */
export type Books = ReadonlyMap<string, readonly number[]>;

/** What came of the orders of one scenario. */
export type Line = {
  readonly scenario: ScenarioName;
  readonly orders: number;
  /** All of it in cents. */
  readonly ordered: number;
  readonly taken: number;
  readonly recorded: number;
  /** Orders for which the provider took money more than once. */
  readonly doubled: number;
  /** Orders for which it took money that the books do not have. */
  readonly ghosts: number;
  /** Orders that the books have more often than the provider took money for. */
  readonly phantoms: number;
};

/** Compares what a provider took with what a shop recorded, scenario by scenario. Pure. */
export function judge(orders: readonly Order[], taken: Books, recorded: Books): Line[] {
  return (Object.keys(SCENARIOS) as ScenarioName[]).map((scenario) => {
    const ours = orders.filter((order) => order.scenario === scenario);
    const times = (books: Books, { reference }: Order) => books.get(reference) ?? [];
    const total = (books: Books) => sum(ours.flatMap((order) => times(books, order)));
    const count = (holds: (order: Order) => boolean) => ours.filter(holds).length;
    return {
      scenario,
      orders: ours.length,
      ordered: sum(ours.map(({ cents }) => cents)),
      taken: total(taken),
      recorded: total(recorded),
      doubled: count((order) => times(taken, order).length > 1),
      ghosts: count((order) => sum(times(taken, order)) > sum(times(recorded, order))),
      phantoms: count((order) => sum(times(taken, order)) < sum(times(recorded, order))),
    };
  });
}

/** All lines as one. */
export function totalOf(lines: readonly Line[]): Omit<Line, "scenario"> {
  const add = (field: Exclude<keyof Line, "scenario">) => sum(lines.map((line) => line[field]));
  return {
    orders: add("orders"),
    ordered: add("ordered"),
    taken: add("taken"),
    recorded: add("recorded"),
    doubled: add("doubled"),
    ghosts: add("ghosts"),
    phantoms: add("phantoms"),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
