import type { Logger } from "pino";
import { type BreakerOptions, Breakers } from "../charges/breakers.js";
import { type DueCharge, findDueCharges, staleAfterSeconds, sweepCharges } from "../charges/due-charges.js";
import { type ChargeAttempted, runCharge } from "../charges/run-charge.js";
import { type Finding, recordFinding } from "../findings/findings-log.js";
import { notifyRelay } from "../outbox/notify-relay.js";
import type { Provider } from "../providers/provider.js";
import { inSpan } from "../tracing.js";
import { CHARGE_QUEUE, type DueJob, type QueueContext, QueueWorker } from "./queue.js";

/** Calls of one worker at once. They mostly wait: the database sees each for a moment before and after. */
const CONCURRENCY = 256;

type Job = Omit<DueCharge, "attempts">;

/** For metrics. */
export type ChargeObserver = {
  attempted(provider: string, outcome: ChargeAttempted["heard"]["kind"]): void;
  breaker(provider: string, isOpen: boolean): void;
};

export type ChargeOptions = {
  /** By name. A charge of any other provider is left to a worker that has it. */
  readonly providers: ReadonlyMap<string, Provider>;
  /** How long one call of a provider may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly observer?: ChargeObserver;
  /** For tests. */
  readonly breakers?: Pick<BreakerOptions, "failures" | "halfOpenAfterMs">;
  /** Told of what only a person can put right. */
  readonly onFinding?: ((finding: Finding) => void) | undefined;
};

/**
 * Charges as jobs. A job only says "look at this charge": the claim in Postgres decides, so a job that is lost,
 * doubled or late does no harm.
 */
export class ChargeQueue {
  readonly #context: QueueContext & ChargeOptions;
  readonly #jobs: QueueWorker<Job>;
  readonly #breakers: Breakers;
  /** Attempts that are under way: their outcome is written whatever becomes of Redis. */
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(context: QueueContext & ChargeOptions) {
    this.#context = context;
    const { providers, observer, logger } = context;
    this.#breakers = new Breakers(providers.keys(), {
      ...context.breakers,
      onChange: (provider, isOpen) => {
        observer?.breaker(provider, isOpen);
        if (isOpen) logger.warn({ provider }, `provider ${provider} keeps failing: its charges wait`);
        else logger.info({ provider }, `provider ${provider} is back: its charges go on`);
      },
    });
    for (const provider of providers.keys()) observer?.breaker(provider, false);
    this.#jobs = new QueueWorker(CHARGE_QUEUE, context, {
      run: (job) => this.#track(this.#run(job.data)),
      // One that failed and stayed would keep its id, and its charge could not be enqueued any more.
      jobs: { removeOnComplete: true, removeOnFail: true },
      // A job whose worker died is run again however often that was.
      worker: { concurrency: CONCURRENCY, maxStalledCount: Number.MAX_SAFE_INTEGER },
      onFailed: (job, error) =>
        logger.error(
          { err: error, charge: job?.data.id },
          "a job for a charge failed; the relay brings it back",
        ),
    });
  }

  start(): void {
    this.#jobs.start();
  }

  /** Waits for the calls that are under way, and for their outcome to be written, whether or not Redis is there. */
  async stop(isAway: boolean): Promise<void> {
    await this.#jobs.stop(isAway);
    await Promise.all(this.#underWay);
  }

  /**
   * Enqueues what is due, but for providers whose breaker is open. A charge whose job is there already is not enqueued
   * again: the job's id is made of its id and of the attempts before.
   * @param merchantId that one's alone; every merchant's by default
   */
  async enqueueDue(merchantId?: string): Promise<void> {
    const due = await findDueCharges(this.#context.dataSource, this.#breakers.admitted(), merchantId);
    await this.#jobs.enqueue(due, jobIdOf, (all) => all.map(toJob));
  }

  /** Takes back what dead workers held. @returns how many charges */
  async sweep(): Promise<number> {
    const { dataSource, timeoutMs, logger } = this.#context;
    const swept = await sweepCharges(dataSource, staleAfterSeconds(timeoutMs));
    if (swept > 0) logger.warn({ swept }, "charges whose worker is gone are asked for");
    return swept;
  }

  async #track(work: Promise<void>): Promise<void> {
    this.#underWay.add(work);
    await work.finally(() => this.#underWay.delete(work));
  }

  async #run({ id, merchantId, provider: name, trace }: Job): Promise<void> {
    const { logger, observer, providers, forQueues } = this.#context;
    const provider = providers.get(name);
    const permit = provider === undefined ? null : this.#breakers.enter(name);
    if (provider === undefined || permit === null) return;
    let attempted: ChargeAttempted | null = null;
    try {
      attempted = await inSpan(
        "charge attempt",
        { kind: "client", facts: { charge: id, provider: name }, parent: trace },
        async (span) => {
          const done = await runCharge({ ...this.#context, provider }, id);
          if (done !== null) span.tell({ attempt: done.claim.attempt, outcome: done.heard.kind });
          return done;
        },
      );
    } catch (error) {
      logger.warn(
        { err: error, charge: id },
        "an attempt at a charge was cut short; the sweeper brings it back",
      );
    }
    await permit.leave(attempted === null ? null : attempted.isFault);
    if (attempted === null) return;
    observer?.attempted(name, attempted.heard.kind);
    logAttempt(attempted, logger);
    await this.#showContradiction(attempted);
    // Its event is told now, and not with the relay's next look. One that is only tried again has none.
    const { recorded, verdict } = attempted;
    if (recorded.kind !== "not_ours" && verdict.kind !== "again") notifyRelay(forQueues);
    // The merchant has room for the next one now: without this line it would wait for the relay.
    await this.enqueueDue(merchantId).catch(() => undefined);
  }

  async #showContradiction({ claim, heard, recorded }: ChargeAttempted): Promise<void> {
    if (recorded.kind !== "contradiction") return;
    const { dataSource, onFinding, logger } = this.#context;
    const finding = contradicted(claim, heard, recorded.status);
    // Counted even where it can't be written down.
    onFinding?.(finding);
    await recordFinding(dataSource, null, finding).catch((error: unknown) =>
      logger.error({ err: error, charge: claim.id }, "the contradiction could not be written down"),
    );
  }
}

function toJob({ attempts, ...data }: DueCharge): DueJob<Job> {
  return { name: "charge", data, opts: { jobId: jobIdOf({ id: data.id, attempts }) } };
}

function jobIdOf({ id, attempts }: Pick<DueCharge, "id" | "attempts">): string {
  return `${id}.${attempts}`;
}

/** One line for each attempt at a charge: the first that leaves it unknown is a warning, later ones are no news. */
function logAttempt({ claim, heard, verdict, recorded, durationMs }: ChargeAttempted, logger: Logger): void {
  const { id: charge, provider, attempt } = claim;
  const fields = { charge, provider, attempt, outcome: heard.kind, took: durationMs };
  const why = "detail" in heard ? heard.detail : heard.kind;
  if (recorded.kind === "contradiction") {
    logger.error(fields, `a charge is ${recorded.status}, and its provider says ${heard.kind}`);
  } else if (recorded.kind === "not_ours") {
    logger.warn(fields, "an attempt at a charge took so long that another worker took it over");
  } else if (verdict.kind === "end") {
    const { ending } = verdict;
    if (ending.kind === "succeeded") logger.debug(fields, "charge succeeded");
    else logger.info(fields, `charge failed, ${ending.code}: ${ending.detail}`);
  } else if (verdict.kind === "again") logger.info(fields, `charge refused, to be sent again: ${why}`);
  else if (heard.kind === "in_progress")
    logger.info(fields, `the provider has not decided yet, it is asked again: ${why}`);
  else {
    const level = claim.status === "processing" ? "warn" : "info";
    logger[level](fields, `nobody knows whether it was charged, the provider is asked again: ${why}`);
  }
}

/** What a person must see: our record says one thing, and the provider another. */
function contradicted(
  { id, provider, providerId, attempt }: ChargeAttempted["claim"],
  heard: ChargeAttempted["heard"],
  status: string,
): Finding {
  const named = "providerId" in heard ? heard.providerId : providerId;
  return {
    kind: "charge_contradicted",
    subject: id,
    action: "needs_person",
    detail: `The charge is ${status}, and ${provider} says ${heard.kind}. Look it up there, and refund or record it by hand`,
    evidence: { provider, attempt, said: heard.kind, provider_id: named },
    before: { status },
    after: { status },
  };
}
