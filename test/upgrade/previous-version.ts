/**
 * The last commit of the version before this one, N where this checkout is N+1. Everything in this folder runs its real
 * code. Move it on at each release, to the release's commit: what is promised holds from one release to the next.
 *
 * Nothing is released yet. Now: the first commit that makes the whole schema by one migration; a database of an earlier one
 * can't be brought here.
 */
export const PREVIOUS_VERSION = "185736bf8bb81dfe6569d5b8f43d4444237fdebd";
