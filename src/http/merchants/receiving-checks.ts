import type { DataSource, EntityManager } from "typeorm";
import { accountsTaking } from "../../entities/receiving-account.js";
import type { HorizonClient } from "../../horizon/client.js";
import { readReceivingState } from "../../horizon/receiving-state.js";
import { recordReceivingState } from "../../settlement/watch-account.js";
import { type Asset, issuerOf } from "../../stellar/asset.js";
import type { AccountId } from "../../stellar/credit.js";
import { type Obstacle, obstacleFor, type Payee, type ReceivingState } from "../../stellar/payable.js";
import { invalidField, Problem, type ProblemKind } from "../server/problem.js";

export type ReceivingChecksOptions = {
  readonly dataSource: DataSource;
  readonly horizon: HorizonClient;
  /** How long an account's state counts, in milliseconds, for tests; 30 s by default. */
  readonly freshMs?: number;
};

/** A request for each session would double what opening costs; what an account can receive changes by hand. */
const FRESH_MS = 30_000;

/** An obstacle does not count for as long: a page that waits for its end asks again, and anybody can load one. */
const OBSTACLE_FRESH_MS = 5_000;

/** A merchant who was refused puts it right and tries again at once. */
const REFUSAL_FRESH_MS = 2_000;

/** While Horizon does not answer, one request in this time waits for it, and no other. */
const UNANSWERED_MS = 10_000;

/** A customer is waiting. */
const ASK_WITHIN_MS = 1_500;

/** States that are held at once; past it the oldest goes. Each is a trustline map of a few kilobytes. */
const MOST_HELD = 5_000;

/** @param state null: Horizon gave no answer */
type Held = { readonly state: ReceivingState | null; readonly askedAt: number };

/** The obstacle for a payment, where there is one. */
export type Check = {
  /** Null when it would arrive; `not_checked` when Horizon gave no answer. */
  readonly obstacle: Obstacle | "not_checked" | null;
  readonly state: ReceivingState | null;
  readonly issuer: ReceivingState | null;
};

/**
 * What this process knows of accounts on the network: whether a payment to them would arrive. It asks Horizon for an
 * account at most once in a while, whoever wants to know and how often.
 */
export class ReceivingChecks {
  readonly #options: ReceivingChecksOptions;
  readonly #held = new Map<AccountId, Held>();
  /** Questions under way: a second one about the same account waits for the same answer. */
  readonly #asking = new Map<AccountId, Promise<ReceivingState | null>>();
  /** By merchant and asset: the account that was meant last where a session names none. */
  readonly #meant = new Map<string, AccountId>();

  constructor(options: ReceivingChecksOptions) {
    this.#options = options;
  }

  /**
   * Asks for what a session's check will need, where it is not known yet. Asks only for accounts that are registered
   * for the merchant, or anybody could have us ask for any.
   * @param account null where the request names none
   */
  async prepare(merchantId: string, payee: Omit<Payee, "account">, account: AccountId | null): Promise<void> {
    const { dataSource } = this.#options;
    const meantBy = `${merchantId} ${payee.asset}`;
    const known = account ?? this.#meant.get(meantBy);
    if (known !== undefined && this.#isFresh({ ...payee, account: known }, REFUSAL_FRESH_MS)) return;
    const [only, another] = await accountsTaking(dataSource, merchantId, payee.asset, account);
    if (only === undefined || another !== undefined) return;
    if (account === null) put(this.#meant, meantBy, only);
    await this.ask({ ...payee, account: only }, REFUSAL_FRESH_MS);
  }

  /**
   * Whether a payment would arrive, asked of Horizon where what is held is too old. Keeps the answer for the page.
   * @param obstacleFreshMs how long an obstacle counts
   */
  async ask(payee: Payee, obstacleFreshMs = OBSTACLE_FRESH_MS): Promise<Check> {
    const { account, asset } = payee;
    if (!this.#isFresh(payee, obstacleFreshMs)) {
      const state = await this.#read(account);
      if (state !== null) await this.#keep(account, asset, state);
    }
    const check = this.known(payee);
    const issuer = issuerOf(asset);
    const isLacking = check.obstacle === "no_trustline" || check.obstacle === "account_missing";
    if (!isLacking || issuer === null || this.#isHeld(issuer)) return check;
    await this.#read(issuer);
    return this.known(payee);
  }

  /** The next check asks anew: whoever registers an account has perhaps just put something right. */
  forget(account: AccountId): void {
    this.#held.delete(account);
  }

  /** The same by what is held, without asking anybody. */
  known(payee: Payee): Check {
    const state = this.#held.get(payee.account)?.state ?? null;
    const issuedBy = issuerOf(payee.asset);
    const issuer = issuedBy === null ? null : (this.#held.get(issuedBy)?.state ?? null);
    return { state, issuer, obstacle: state === null ? "not_checked" : obstacleFor(payee, state, issuer) };
  }

  /** For the page, while Horizon does not answer. A database that takes no writes now must not keep the page from showing. */
  async #keep(account: AccountId, asset: Asset, state: ReceivingState): Promise<void> {
    const { manager } = this.#options.dataSource;
    await recordReceivingState(manager, account, [asset], state).catch(() => undefined);
  }

  #isFresh(payee: Payee, obstacleFreshMs: number): boolean {
    if (!this.#isHeld(payee.account)) return false;
    const { obstacle } = this.known(payee);
    if (obstacle === null || obstacle === "not_checked") return true;
    return this.#ageOf(payee.account) < Math.min(this.#freshMs, obstacleFreshMs);
  }

  #isHeld(account: AccountId): boolean {
    const unanswered = this.#held.get(account)?.state === null;
    return this.#ageOf(account) < (unanswered ? Math.min(this.#freshMs, UNANSWERED_MS) : this.#freshMs);
  }

  #ageOf(account: AccountId): number {
    const held = this.#held.get(account);
    return held === undefined ? Number.POSITIVE_INFINITY : performance.now() - held.askedAt;
  }

  get #freshMs(): number {
    return this.#options.freshMs ?? FRESH_MS;
  }

  /** @returns null when Horizon gives no answer in time, for whatever reason: its requests are counted elsewhere */
  #read(account: AccountId): Promise<ReceivingState | null> {
    const asked = this.#asking.get(account);
    if (asked !== undefined) return asked;
    const asking = readReceivingState(this.#options.horizon, account, AbortSignal.timeout(ASK_WITHIN_MS))
      .catch(() => null)
      .then((state) => {
        put(this.#held, account, { state, askedAt: performance.now() });
        return state;
      })
      .finally(() => this.#asking.delete(account));
    this.#asking.set(account, asking);
    return asking;
  }
}

/** Sets a key as the newest, and drops the oldest past the bound. */
function put<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MOST_HELD) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/**
 * The account that is meant where a request names none: the merchant's only one that takes the asset.
 * @param refused what it is called when none does
 * @throws Problem
 */
export async function onlyAccount(
  manager: EntityManager,
  merchantId: string,
  asset: Asset,
  refused: ProblemKind,
): Promise<AccountId> {
  const [account, another] = await accountsTaking(manager, merchantId, asset);
  if (account === undefined) {
    throw new Problem(refused, `No receiving account takes ${asset}: register one for it first.`);
  }
  if (another !== undefined) throw invalidField("account", `several accounts take ${asset}: name one`);
  return account;
}
