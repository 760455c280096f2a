import type { Fleet } from "../chaos/fleet.js";

/** The two versions that run side by side. */
export type Version = "N" | "N+1";

/** What one version did, as its processes tell in their logs. */
export type Deeds = {
  /** Keys of credits that it recorded. */
  readonly settled: Set<string>;
  /** Webhooks that an endpoint took from it. */
  delivered: number;
};

/** What pino writes for these: the same in both versions. */
type Line = { readonly msg?: string; readonly operation?: string; readonly outcome?: string };

/** Listens to all processes: which version settled which credit, and how many webhooks it delivered. */
export class Witness {
  readonly deeds: Readonly<Record<Version, Deeds>> = {
    N: { settled: new Set(), delivered: 0 },
    "N+1": { settled: new Set(), delivered: 0 },
  };

  /** Credits that were told as recorded more than once: one of them was no transaction's. */
  readonly toldTwice: string[] = [];

  /** @param versionOf a program */
  constructor(
    fleet: Fleet,
    private readonly versionOf: (cli: string) => Version,
  ) {
    for (const member of fleet.members) member.onLine = (text, cli) => this.#hear(text, cli);
  }

  /** How many credits a version recorded that are newer than this operation. */
  settledAfter(version: Version, operationId: bigint): number {
    const keys = [...this.deeds[version].settled];
    return keys.filter((key) => BigInt(key.split("-")[0] ?? 0) > operationId).length;
  }

  #hear(text: string, cli: string): void {
    const line = read(text);
    const { settled } = this.deeds[this.versionOf(cli)];
    if (line?.msg === "webhook delivered") this.deeds[this.versionOf(cli)].delivered++;
    if (line?.operation === undefined || line.outcome === undefined) return;
    if (Object.values(this.deeds).some((deeds) => deeds.settled.has(line.operation ?? ""))) {
      this.toldTwice.push(line.operation);
    }
    settled.add(line.operation);
  }
}

function read(text: string): Line | null {
  if (!text.startsWith("{")) return null;
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
}
