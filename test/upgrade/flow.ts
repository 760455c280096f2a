import { setTimeout as sleep } from "node:timers/promises";
import { HorizonClient } from "../../src/horizon/client.js";
import { endOfLedger } from "../../src/stellar/operation-id.js";
import type { RoleName } from "../chaos/fleet.js";
import type { Load } from "../chaos/load.js";
import type { Release } from "../chaos/release.js";
import type { World } from "../chaos/world.js";
import type { Step } from "./rollout.js";
import type { Version, Witness } from "./witness.js";

/** What each version that runs must have done after a step before the next one begins. */
const AT_LEAST = { settled: 5, delivered: 3, sessions: 1 };

/** Liveness: far longer than any step takes. */
const WITHIN_MS = 240_000;

const VERSIONS = ["N", "N+1"] as const;

/** What each version did after one step, while the other ran too. */
export type Seen = Readonly<Record<Version, { readonly settled: number; readonly delivered: number }>> & {
  readonly title: string;
  /** That merchants created by the API. */
  readonly sessions: number;
};

export type Flow = {
  readonly world: World;
  readonly load: Load;
  readonly witness: Witness;
  readonly releases: Readonly<Record<Version, Release>>;
};

/**
 * Resolves when every version of consumers and workers that runs now has done its part: of credits that are in no ledger
 * yet when it begins, so that whoever leads ingest now has written them.
 * @throws Error when it does not come to that
 */
export async function untilLoadHasFlown({ title, asksApi }: Step, flow: Flow): Promise<Seen> {
  const { world, load, witness, releases } = flow;
  const horizon = new HorizonClient({ url: world.sandbox.url });
  const root = await horizon.root(AbortSignal.timeout(30_000));
  const newest = endOfLedger(root.historyLatestLedger);
  const begunAt = performance.now();
  const before = {
    sessions: byApi(world),
    N: witness.deeds.N.delivered,
    "N+1": witness.deeds["N+1"].delivered,
  };
  const since = (version: Version) => ({
    settled: witness.settledAfter(version, newest),
    delivered: witness.deeds[version].delivered - before[version],
  });
  const runs = (role: RoleName, version: Version) =>
    world.fleet.of(role).some(({ cli }) => cli === releases[version].cli);
  for (;;) {
    const sessions = byApi(world) - before.sessions;
    const seen: Seen = { title, N: since("N"), "N+1": since("N+1"), sessions };
    const hasFlown = VERSIONS.every(
      (version) =>
        (!runs("consume", version) || seen[version].settled >= AT_LEAST.settled) &&
        (!runs("work", version) || seen[version].delivered >= AT_LEAST.delivered),
    );
    if (hasFlown && (!asksApi || sessions >= AT_LEAST.sessions)) return seen;
    if (load.failure !== null) throw load.failure;
    if (performance.now() - begunAt > WITHIN_MS) throw new Error(`nothing flows: ${inWords(seen)}`);
    await sleep(50);
  }
}

/** One line of the report. */
export function inWords(seen: Seen): string {
  const each = VERSIONS.map(
    (version) => `${version} settled ${seen[version].settled}, delivered ${seen[version].delivered}`,
  );
  return `${seen.title}: ${each.join("; ")}; ${seen.sessions} sessions by the API`;
}

/** Sessions so far that the API has answered for. */
function byApi({ ledger }: World): number {
  return [...ledger.sessions.values()].filter(({ kind }) => kind === "api" || kind === "cancelled").length;
}
