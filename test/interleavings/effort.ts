import { isLong } from "../support/long.js";

/** How many schedules to play: `usual` in a normal test run, INTERLEAVINGS by hand. */
export function runs(usual: number): number {
  const wanted = process.env.INTERLEAVINGS;
  return wanted === undefined ? usual : Math.max(usual, Number(wanted) || 0);
}

/** Of every random schedule; the same in each run unless INTERLEAVINGS_SEED says otherwise. */
export const seed = Number(process.env.INTERLEAVINGS_SEED ?? 4);

export const isLongRun = process.env.INTERLEAVINGS !== undefined;

/** Every order of two actors' statements and every kill: in `./dev proof interleavings`, or by hand. */
export const playsAll = isLong || isLongRun;
