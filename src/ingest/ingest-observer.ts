import type { OperationId } from "../stellar/operation-id.js";
import type { FeedName } from "../stream/stream-keys.js";
import type { ReadingChoice } from "./network-mode.js";

/** Told of what a leader of ingest does, for figures. Decides nothing and must not throw. */
export type IngestObserver = {
  appended(entries: number): void;
  /** Everything of the feed up to `cursor` has been read and appended. */
  read(feed: FeedName, cursor: OperationId): void;
  /** This process leads the feed no more. */
  left(feed: FeedName): void;
  /** How accounts are to be read, and why. Only by the process that leads the network's feed. */
  chose(choice: ReadingChoice): void;
};
