import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Release } from "../chaos/release.js";
import type { World } from "../chaos/world.js";
import { isLong } from "../support/long.js";
import type { Version } from "./witness.js";

const run = promisify(execFile);

/** One step of the upgrade, after which the load must be seen to flow through whoever runs then. */
export type Step = {
  readonly title: string;
  /** Runs this version's `paidonce migrate`, while everybody else is at work. */
  readonly migrate?: Version;
  /** Which processes are replaced, by which version: of each role one at a time, as Deployments do it. */
  readonly to?: Readonly<Partial<Record<Version, readonly string[]>>>;
  /** The API is another one now: it must have been asked before the next step. */
  readonly asksApi?: true;
};

/** Every run: a database that is migrated under the old version, and then one of each role that is new beside those that are old. */
const FORTH: readonly Step[] = [
  { title: "the database is migrated under N", migrate: "N+1" },
  {
    title: "one of each goes: both read what the other writes",
    to: { "N+1": ["ingest 1", "ingest 2", "consume 1", "work 1", "api 1"] },
    asksApi: true,
  },
];

/** In an order that keeps both versions of each role at work for as long as possible, and goes back once. */
const FORTH_AND_BACK: readonly Step[] = [
  { title: "N alone", asksApi: true },
  { title: "the database is migrated under N", migrate: "N+1" },
  { title: "a consumer and a worker go: both read what N writes", to: { "N+1": ["consume 1", "work 1"] } },
  {
    title: "ingest and the API go: both read what N+1 writes",
    to: { "N+1": ["ingest 1", "ingest 2", "api 1"] },
    asksApi: true,
  },
  { title: "all have gone", to: { "N+1": ["consume 2", "consume 3", "work 2"] } },
  { title: "some go back", to: { N: ["ingest 1", "consume 1", "api 1"] }, asksApi: true },
  { title: "and forth", to: { "N+1": ["ingest 1", "consume 1", "api 1"] }, asksApi: true },
];

export const STEPS = isLong ? FORTH_AND_BACK : FORTH;

/** Replaces processes by SIGTERM, those of one role one after the other. Those that are of the version are left alone. */
export async function carryOutStep(
  world: World,
  step: Step,
  releases: Readonly<Record<Version, Release>>,
): Promise<void> {
  if (step.migrate !== undefined) {
    const env = { PATH: process.env.PATH ?? "", ...world.fleet.members[0]?.spec.env };
    await run(process.execPath, [releases[step.migrate].cli, "migrate"], { env });
  }
  const moves = Object.entries(step.to ?? {}).flatMap(([version, titles]) =>
    titles.map((title) => ({ title, cli: releases[version as Version].cli })),
  );
  const byRole = Map.groupBy(moves, ({ title }) => title.split(" ")[0]);
  await Promise.all(
    [...byRole.values()].map(async (ofRole) => {
      for (const { title, cli } of ofRole) {
        const member = world.fleet.members.find(({ spec }) => spec.title === title);
        if (member === undefined) throw new Error(`there is no ${title}`);
        if (member.cli === cli) continue;
        member.cli = cli;
        await member.roll();
      }
    }),
  );
}
