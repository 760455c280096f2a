import { sleep } from "../backoff.js";
import { inSpan } from "../tracing.js";
import type { DeliveryKey } from "../webhooks/attempts.js";
import { type Due, findDue } from "../webhooks/attempts.js";
import { type Attempted, type Delivering, deliver } from "../webhooks/deliver.js";
import { FairSlots, SLOT_LIMITS } from "../webhooks/fair-slots.js";
import { type DueJob, type QueueContext, QueueWorker, WEBHOOK_QUEUE } from "./queue.js";

/**
 * Jobs of one worker at once: as many as can hold a slot, and some that learn that they get none and end at once. A job
 * never waits for a slot: others would wait behind it.
 */
const CONCURRENCY = SLOT_LIMITS.fast + SLOT_LIMITS.slow + 32;

/** Dead letters that stay to be seen in the queue; the rows keep all of them. */
const SHOWN_DEAD = 1_000;

type Job = DeliveryKey &
  Pick<Due, "trace"> &
  // Not in the jobs of the version before.
  Partial<Pick<Due, "merchantId" | "round">> & {
    /** Others to the same endpoint that are sent at the same time. */
    readonly more?: readonly (Pick<DeliveryKey, "eventId"> &
      Pick<Due, "trace"> &
      Partial<Pick<Due, "round">>)[];
  };

/** How long after a look for what an endpoint is due the next one may begin. */
const LOOK_GAP_MS = 5;

type Delivery = Omit<Job, "more" | "merchantId"> & Pick<Due, "merchantId">;

/** Ends the job as failed, which is where Bull Board shows dead letters. */
class DeadLetterError extends Error {
  override readonly name = "DeadLetterError";
}

/**
 * Webhook deliveries as jobs. A job only says "look at this delivery": the claim in Postgres decides, so a job that
 * is lost, doubled or late does no harm.
 */
export class WebhookQueue {
  readonly #context: QueueContext & Delivering;
  readonly #jobs: QueueWorker<Job>;
  /** Endpoints that are being looked after, and whether something has ended since the look began. */
  readonly #looking = new Map<string, { again: boolean }>();
  readonly #stopping = new AbortController();
  readonly #slots = new FairSlots((endpointId) => void this.#lookAfter(endpointId));

  constructor(context: QueueContext & Delivering) {
    this.#context = context;
    this.#jobs = new QueueWorker(WEBHOOK_QUEUE, context, {
      run: (job) => this.#run(job.data),
      jobs: { removeOnComplete: true, removeOnFail: { count: SHOWN_DEAD } },
      // A job whose worker died is run again however often that was. One that failed for it would keep its id,
      // and its delivery could not be enqueued any more.
      worker: { concurrency: CONCURRENCY, maxStalledCount: Number.MAX_SAFE_INTEGER },
    });
  }

  start(): void {
    this.#jobs.start();
  }

  /** Waits for the requests that are under way, unless Redis is away. */
  async stop(isAway: boolean): Promise<void> {
    this.#stopping.abort();
    await this.#jobs.stop(isAway);
  }

  /**
   * Enqueues what is due. A delivery whose job is there already is not enqueued again: the job's id is made of event
   * and endpoint. What an endpoint gets for the first time shares a job, which costs more than what is done in it; what
   * has failed before has one of its own, since it can become a dead letter.
   * @param endpointId that one's alone; every endpoint's by default
   */
  async enqueueDue(endpointId?: string): Promise<void> {
    const due = await findDue(this.#context.dataSource, endpointId);
    await this.#jobs.enqueue(this.#withRoom(due), jobIdOf, toJobs);
  }

  /** Without what its endpoint has no slot for: a slow one with a backlog would fill the queue with jobs for nothing. */
  #withRoom(due: readonly Due[]): Due[] {
    const room = new Map<string, number>();
    return due.filter(({ merchantId, endpointId }) => {
      const left = room.get(endpointId) ?? this.#slots.roomOf(endpointId);
      room.set(endpointId, left - 1);
      if (left <= 0) this.#slots.remember(merchantId, endpointId);
      return left > 0;
    });
  }

  /** Never fails but for a dead letter: a job that failed would keep its id from being enqueued again. */
  async #run({ more = [], ...first }: Job): Promise<void> {
    const { endpointId, merchantId = endpointId } = first;
    const all = [first, ...more].map((one) => ({ ...one, endpointId, merchantId }));
    const attempts = await Promise.all(all.map((delivery) => this.#deliver(delivery)));
    for (const attempted of attempts) {
      if (attempted?.recorded && attempted.verdict.state === "dead") {
        throw new DeadLetterError(`${attempted.claim.url}: ${wordsOf(attempted)}`);
      }
    }
  }

  /** Never throws. @returns null when nothing was sent, or nobody knows what came of it */
  async #deliver({ merchantId, trace, round = 0, ...key }: Delivery): Promise<Attempted | null> {
    const { logger } = this.#context;
    const slot = this.#slots.take(merchantId, key.endpointId);
    if (slot === null) {
      this.#jobs.forget(jobIdOf({ ...key, round }));
      return null;
    }
    const facts = { event: key.eventId, endpoint: key.endpointId };
    const attempted = await inSpan(
      "webhook deliver",
      { kind: "client", facts, parent: trace },
      async (span) => {
        const done = await deliver(this.#context, key, slot);
        if (done !== null) span.tell({ attempt: done.claim.attempt, state: done.verdict.state });
        return done;
      },
    ).catch((error: unknown) => {
      logger.warn({ err: error, ...key }, "a webhook attempt was cut short; the relay brings it back");
      return null;
    });
    slot.release();
    if (attempted === null) return null;
    this.#say(attempted);
    void this.#lookAfter(key.endpointId);
    return attempted;
  }

  /**
   * The endpoint has room for the next one now: without this it would wait for the relay, which looks again in a second
   * whether or not this succeeds. Deliveries that end together ask once: a look for each would cost the database more
   * than the deliveries.
   */
  async #lookAfter(endpointId: string): Promise<void> {
    const underWay = this.#looking.get(endpointId);
    if (underWay !== undefined) {
      underWay.again = true;
      return;
    }
    const look = { again: true };
    this.#looking.set(endpointId, look);
    while (look.again && !this.#stopping.signal.aborted) {
      look.again = false;
      await this.enqueueDue(endpointId).catch(() => undefined);
      await sleep(LOOK_GAP_MS, this.#stopping.signal);
    }
    this.#looking.delete(endpointId);
  }

  #say(attempted: Attempted): void {
    const { logger } = this.#context;
    const { claim, answer, verdict, recorded } = attempted;
    const { eventId: event, endpointId: endpoint, attempt } = claim;
    const fields = { event, endpoint, attempt, status: answer.status, took: answer.durationMs };
    if (!recorded) logger.warn(fields, "a webhook attempt took so long that another worker took it over");
    else if (verdict.state === "delivered") logger.debug(fields, "webhook delivered");
    else {
      if (verdict.disable) logger.warn(fields, "the webhook endpoint said that it is gone: disabled");
      if (verdict.state === "dead") {
        logger.error(fields, `a webhook is dead after its last attempt: ${wordsOf(attempted)}`);
      } else logger.info(fields, `webhook failed, to be tried again: ${wordsOf(attempted)}`);
    }
  }
}

function toJobs(due: readonly Due[]): DueJob<Job>[] {
  const [fresh, retries] = [due.filter((one) => one.fresh), due.filter((one) => !one.fresh)];
  const together = Map.groupBy(fresh, ({ endpointId }) => endpointId);
  return [...retries.map((delivery) => [delivery]), ...together.values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : toJob(first, others),
  );
}

/** @param others to the same endpoint */
function toJob(first: Due, others: readonly Due[]): DueJob<Job> {
  const { eventId, endpointId, merchantId, round, trace } = first;
  const more = others.map((other) => ({ eventId: other.eventId, round: other.round, trace: other.trace }));
  return {
    name: "deliver",
    data: { eventId, endpointId, merchantId, round, trace, ...(more.length > 0 && { more }) },
    opts: { jobId: jobIdOf(first) },
  };
}

function jobIdOf({ eventId, endpointId, round }: Pick<Due, "eventId" | "endpointId" | "round">): string {
  return `${eventId}.${endpointId}.${round}`;
}

function wordsOf({ answer }: Attempted): string {
  return answer.error ?? `status ${answer.status}`;
}
