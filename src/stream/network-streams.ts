import type { AccountId } from "../stellar/credit.js";
import type { Delivery } from "./consumer-group.js";
import { accountField, type NetworkMovement } from "./entry.js";
import { accountOf, pick, spreadBy } from "./shards.js";
import { type FeedName, NETWORK, type NetworkStream, type StreamName } from "./stream-keys.js";

const NETWORK_PREFIX = `${NETWORK}:`;

/** The streams of the network's feed. Their number is part of their names, as with an account's shards. */
export function networkStreams(count: number): NetworkStream[] {
  return Array.from({ length: count }, (_, index) => `${NETWORK_PREFIX}${index}/${count}` as NetworkStream);
}

export function isNetworkStream(stream: StreamName): stream is NetworkStream {
  return stream.startsWith(NETWORK_PREFIX);
}

/** The stream that a credit of any account goes into: all credits of one session into the same. */
export function networkStreamFor<S extends string>(movement: NetworkMovement, streams: readonly S[]): S {
  return pick(`${movement.account} ${spreadBy(movement)}`, streams);
}

/** Whose credit an entry is; null where the network's feed brought something that nobody can be found for. */
export function ownerOf({ stream, entry }: Delivery): AccountId | null {
  return isNetworkStream(stream) ? accountField(entry) : accountOf(stream);
}

/** The feed that a stream is one of: who leads it, leads all of them. */
export function feedOf(stream: StreamName): FeedName {
  return isNetworkStream(stream) ? NETWORK : accountOf(stream);
}
