/**
 * The last commit of the version before this one, N where this checkout is N+1. Everything in this folder runs its real
 * code. Move it on at each release, to the release's commit: what is promised holds from one release to the next.
 *
 * Now: the last commit before Redis Cluster, shards, partitions and network mode.
 */
export const PREVIOUS_VERSION = "64905a8ff41ba59a857af8cceeb4af5f5ca8938a";
