import type { Dice } from "../dice.js";
import type { World } from "../world.js";

/** Something that is done to the system on purpose, and ended again. */
export type Fault = {
  readonly name: string;
  /** What must be seen, and is checked. */
  readonly seen: string;
  /** How often it stands in a round of all faults. */
  readonly times: number;
  /** It takes so long that others happen meanwhile, and short runs leave it out. */
  readonly long?: boolean;
  /** Why it can't be done on this machine; null if it can. */
  readonly missing?: () => string | null;
  /** Resolves when it is over. The dice decide whom it hits, and for how long. */
  readonly run: (world: World, dice: Dice) => Promise<void>;
};
