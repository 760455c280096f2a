import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { portNear } from "../machine/free-port.js";

const FILE = "ports.json";

/** What `up` starts and people connect to: a TCP port on 127.0.0.1 for each. */
const portsSchema = z.partialRecord(
  z.enum(["postgres", "redis", "sandbox", "stripe", "api"]),
  z.int().min(1).max(65_535),
);

export type Ports = z.output<typeof portsSchema>;

/** Where `up` was killed, what it had started is still ending: its ports come free within this. */
const LOOKS = 10;
const LOOK_EVERY_MS = 200;

/**
 * The ports of the last start, so that a URL that was pasted somewhere works again. A port that somebody else listens on
 * is left out, after two seconds, and so is one of `taken`.
 */
export async function portsOfLastStart(folder: string, taken: readonly number[] = []): Promise<Ports> {
  const kept = Object.entries(await readPorts(folder));
  const free = await Promise.all(
    kept.map(async ([, port]) => !taken.includes(port) && (await comesFree(port))),
  );
  return Object.fromEntries(kept.filter((_, i) => free[i]));
}

/** Keeps ports for the next start, beside those that were kept before and are not named here. */
export async function keepPorts(folder: string, ports: Ports): Promise<void> {
  await writeFile(join(folder, FILE), JSON.stringify({ ...(await readPorts(folder)), ...ports }));
}

/** A file that is missing or that nobody understands is no reason not to start. */
async function readPorts(folder: string): Promise<Ports> {
  try {
    return portsSchema.parse(JSON.parse(await readFile(join(folder, FILE), "utf8")));
  } catch {
    return {};
  }
}

async function comesFree(port: number): Promise<boolean> {
  for (let looks = 1; looks <= LOOKS; looks++) {
    if ((await portNear(port)) === port) return true;
    if (looks < LOOKS) await sleep(LOOK_EVERY_MS);
  }
  return false;
}
