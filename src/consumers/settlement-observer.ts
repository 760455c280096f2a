import type { Settlement } from "../settlement/settle.js";

/** Told of what a consumer does, for figures. Decides nothing and must not throw. */
export type SettlementObserver = {
  /** Entries of one transaction, before it begins. */
  batch(entries: number): void;
  /** After the commit. @param at this process's clock */
  settled(settlement: Settlement, at: Date): void;
  /** A transaction ran into another one and is tried again. */
  conflict(): void;
};
