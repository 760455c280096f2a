import { type Asset, issuerOf, NATIVE } from "./asset.js";
import type { AccountId } from "./credit.js";
import { MAX_STROOPS, type Stroops, toStroops, trimmedAmount } from "./stroops.js";

/** What an account holds of an issued asset, as far as receiving goes. */
export type Trustline = {
  readonly limit: Stroops;
  /** What can still arrive: the limit, without the balance and without what the account's offers may bring. */
  readonly room: Stroops;
  /** Whether the issuer lets it receive. */
  readonly isAuthorized: boolean;
};

/** What decides whether an account can be paid, as one ledger has it. */
export type ReceivingState =
  | { readonly kind: "missing" }
  | {
      readonly kind: "exists";
      /** Lumens that can still arrive: the network counts in int64. */
      readonly room: Stroops;
      readonly trustlines: ReadonlyMap<Asset, Trustline>;
      /** As an issuer: nobody holds its assets without its consent (AUTH_REQUIRED). */
      readonly requiresAuthorization: boolean;
      /** SEP-29: it asks wallets to send nothing without a memo. */
      readonly requiresMemo: boolean;
    };

/** Why a payment could not arrive. Stable: clients match on it. */
export const OBSTACLES = [
  "account_missing",
  "no_trustline",
  "issuer_missing",
  "not_authorized",
  "limit_reached",
  "limit_too_low",
] as const;

export type Obstacle = (typeof OBSTACLES)[number];

/** A payment that is asked for, or any at all where the amount is the least there is. */
export type Payee = { readonly account: AccountId; readonly asset: Asset; readonly amount: Stroops };

/**
 * Whether a payment would arrive, by the rules of stellar-core. Pure.
 * @param issuer the state of the asset's issuer, where it was asked for: it tells only why there is no trustline
 * @returns null when it would
 */
export function obstacleFor(
  { account, asset, amount }: Payee,
  state: ReceivingState,
  issuer: ReceivingState | null = null,
): Obstacle | null {
  // An account that issues the asset itself is only not there yet: it can be created, and begins to issue.
  const neverIssued = issuer?.kind === "missing" && issuerOf(asset) !== account;
  if (state.kind === "missing") return neverIssued ? "issuer_missing" : "account_missing";
  if (asset === NATIVE) return amount > state.room ? "limit_reached" : null;
  // An issuer has no trustline to itself: what comes back to it ends.
  if (issuerOf(asset) === account) return null;
  const trustline = state.trustlines.get(asset);
  if (trustline === undefined) return neverIssued ? "issuer_missing" : "no_trustline";
  if (!trustline.isAuthorized) return "not_authorized";
  if (amount > trustline.limit) return "limit_too_low";
  return amount > trustline.room ? "limit_reached" : null;
}

/**
 * How long an account's owner may need to put right what is in their own hands. A session that ends sooner would show
 * its payer an address that refuses the payment; one that lives longer, such as an invoice, can wait for it.
 */
const OWNER_NEEDS_SECONDS = 86_400;

/**
 * What ends an obstacle: `nothing` (it is a mistake in the request), `owner` (a transaction of the account's owner or of
 * the issuer), `anybody` (whoever sends lumens creates the account; the shop sends balance away in its ordinary course).
 */
function endsBy(obstacle: Obstacle, asset: Asset): "nothing" | "owner" | "anybody" {
  switch (obstacle) {
    case "issuer_missing":
      return "nothing";
    case "account_missing":
      // An issued asset needs a trustline as well, which only the owner can add.
      return asset === NATIVE ? "anybody" : "owner";
    case "limit_reached":
      return "anybody";
    case "no_trustline":
    case "not_authorized":
    case "limit_too_low":
      return "owner";
  }
}

/** Whether an obstacle stays for as long as a payment is waited for, so that it must not be asked for at all. Pure. */
export function outlasts(obstacle: Obstacle, asset: Asset, waitSeconds: number): boolean {
  const by = endsBy(obstacle, asset);
  return by === "nothing" || (by === "owner" && waitSeconds < OWNER_NEEDS_SECONDS);
}

/** What can still arrive of an asset. Pure. */
export function roomFor(account: AccountId, asset: Asset, state: ReceivingState): Stroops {
  if (state.kind === "missing") return toStroops(0n);
  if (asset === NATIVE) return state.room;
  if (issuerOf(asset) === account) return toStroops(MAX_STROOPS);
  const trustline = state.trustlines.get(asset);
  return trustline?.isAuthorized ? trustline.room : toStroops(0n);
}

/**
 * The obstacle and what to do about it, in sentences for the account's owner. Pure.
 * @param issuer as `obstacleFor` takes it
 */
export function remedyFor(
  obstacle: Obstacle,
  { account, asset, amount }: Payee,
  issuer: ReceivingState | null = null,
): string {
  const consent =
    issuer?.kind === "exists" && issuer.requiresAuthorization
      ? " Its issuer must authorise each holder (AUTH_REQUIRED): ask the issuer for that too."
      : "";
  switch (obstacle) {
    case "account_missing":
      return `The account ${account} does not exist on the network: create it by sending it lumens.`;
    case "no_trustline":
      return `The account ${account} has no trustline for ${asset}: add one by a change_trust operation.${consent}`;
    case "issuer_missing":
      return `The issuer of ${asset} does not exist on the network, so nobody can hold this asset: check the issuer for a mistake.`;
    case "not_authorized":
      return `The account ${account} may not receive ${asset}: ask its issuer to authorise the trustline.`;
    case "limit_reached":
      return `The account ${account} has less room for ${asset} than ${trimmedAmount(amount)}: send some of its balance away, or raise the trustline's limit.`;
    case "limit_too_low":
      return `The trustline of ${account} for ${asset} has a limit below ${trimmedAmount(amount)}: raise it by a change_trust operation.`;
  }
}
