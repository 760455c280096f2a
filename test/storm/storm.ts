import { HorizonClient } from "../../src/horizon/client.js";
import { auditAll } from "../chaos/audit.js";
import type { Ends } from "../chaos/ends.js";
import { finding, fleetFindings, networkCredits } from "../chaos/prove.js";
import { readStormBooks, takings } from "./books.js";
import { StormCourse } from "./faults.js";
import { StormLoad } from "./load.js";
import { type ProviderName, planStorm } from "./orders.js";
import { ProviderFaults } from "./provider-faults.js";
import type { StormReport } from "./report.js";
import { comeToRest, endFaults } from "./rest.js";
import { judgeStorm } from "./verdict.js";
import { openStorm, SHOPS, type StormWorld } from "./world.js";

export type StormOptions = {
  readonly seed: number;
  readonly charges: number;
  readonly providers: readonly ProviderName[];
  /** Orders a second. */
  readonly rate: number;
  /** Each fault once, and none that takes long. */
  readonly short: boolean;
  /** How to do the same again. */
  readonly command: string;
  readonly say: (line: string) => void;
};

/** So many can pay at the same time; each signs its next transaction when its last one has ended. */
const MOST_PAYERS = 800;

const TELL_EVERY = 1_000;

/**
 * One run: orders and faults, then rest, audit and verdict. Everything that it starts goes into `ends`.
 * @throws Error when the driver itself failed, which says nothing about the product
 */
export async function runStorm(options: StormOptions, ends: Ends): Promise<StormReport> {
  const { seed, charges, providers, rate, say } = options;
  say(`starting Postgres, Redis, a network, a Stripe and all roles; seed ${seed}`);
  const world = await openStorm(seed, Math.min(Math.ceil(charges / providers.length), MOST_PAYERS), ends);
  const load = new StormLoad(world, planStorm(seed, charges, SHOPS, providers), rate);
  const faults = new ProviderFaults(world);
  const course = new StormCourse(world, { ...options, seed: seed + 1 });
  ends.push(async () => {
    await course.stop();
    await load.stop();
  });
  await faults.begin();
  say(`${charges} charges, and everything that can go wrong`);
  const startedAt = performance.now();
  const coursing = course.run();
  await load.run((done) => {
    if (done % TELL_EVERY === 0) say(`${done} of ${charges} are answered`);
  });
  if (!options.short) await course.stop();
  await coursing;
  const minutes = (performance.now() - startedAt) / 60_000;
  say("each has its answer; every fault ends; waiting until no charge is open");
  await endFaults(world);
  await faults.end();
  const restingSince = performance.now();
  const left = await comeToRest(world);
  // What payers sent on their own can come in later than the end of a charge that was cancelled.
  if (left.length === 0) await load.settled();
  left.push(...(left.length === 0 ? await comeToRest(world) : []));
  await world.stripe.settleDown();
  say(
    `at rest after ${((performance.now() - restingSince) / 1_000).toFixed(0)} s; the audit, and the verdict`,
  );
  return {
    seed,
    command: options.command,
    minutes,
    ...(await prove(world, load, left)),
    cancels: load.counts,
    faults: [...course.done, ...faults.met].map(([fault, times]) => ({ fault, times })),
    notes: course.failures,
  };
}

async function prove(world: StormWorld, load: StormLoad, left: readonly string[]) {
  const { dataSource, servers, sandbox, shops, fleet } = world;
  const { orderOf } = load.payers;
  const credits = await networkCredits(sandbox, shops);
  const taken = takings(world, credits, orderOf);
  const { historyLatestLedger } = await new HorizonClient({ url: sandbox.url }).root(
    AbortSignal.timeout(30_000),
  );
  const audits = await auditAll(
    {
      databaseUrl: servers.postgres.url,
      redis: servers.redis,
      horizonUrl: sandbox.url,
      street: { shops },
      ledger: { poison: new Map() },
    },
    historyLatestLedger,
  );
  const audited = audits.reduce((sum, audit) => sum + audit.credits, 0);
  const { figures, outcomes, forPersons, ...books } = await readStormBooks(dataSource, orderOf);
  return {
    orders: load.ordered,
    taken: [...taken.values()].flat().length,
    exceptions: books.exceptions.length,
    audited,
    figures,
    outcomes,
    findings: [
      ...judgeStorm({ orders: load.ordered, ...books, taken }),
      ...finding("the system did not come to rest", left),
      ...finding(
        "paidonce audit found differences",
        audits.flatMap(({ account, code, differences }) =>
          code === 0 ? [] : [`${account}: exit code ${code}`, ...differences],
        ),
      ),
      ...finding(
        "paidonce audit did not look at everything",
        audited === credits.length ? [] : [`${audited} credits of ${credits.length}`],
      ),
      ...finding("something waits for a person", forPersons),
      ...fleetFindings(fleet),
    ],
  };
}
