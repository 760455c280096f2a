import type { HorizonClient } from "../horizon/client.js";
import { HorizonError, isNotFound } from "../horizon/errors.js";
import type { Fields } from "../horizon/fields.js";
import { balancesByAsset } from "../horizon/receiving-state.js";
import { type Asset, issuerOf } from "../stellar/asset.js";
import type { AccountId } from "../stellar/credit.js";
import type { LedgerSequence } from "../stellar/operation-id.js";
import { parseStroops } from "../stellar/stroops.js";

/** An account's balances at the end of a ledger. */
export type NetworkBalances = {
  readonly ledger: LedgerSequence;
  /** In stroops; none of an account that does not exist. */
  readonly balances: ReadonlyMap<Asset, bigint>;
  /** Grows with each transaction that the account sends; null where it does not exist. */
  readonly sequence: bigint | null;
};

/**
 * Asks for an account's balances.
 * @throws HorizonError, also where the server does not say of which ledger they are: they would prove nothing
 */
export async function readNetworkBalances(
  client: HorizonClient,
  account: AccountId,
  signal: AbortSignal,
): Promise<NetworkBalances> {
  try {
    const { fields, latestLedger } = await client.account(account, signal);
    return { ledger: told(latestLedger), ...balancesOf(fields, account) };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { ledger: told(error.latestLedger), balances: new Map(), sequence: null };
  }
}

/** Reads Horizon's account resource, without what the account itself issues: it has no balance of that. Pure. */
export function balancesOf(
  { balances, sequence }: Fields,
  account: AccountId,
): Pick<NetworkBalances, "balances" | "sequence"> {
  if (!Array.isArray(balances) || typeof sequence !== "string" || !/^\d{1,19}$/.test(sequence)) {
    throw new HorizonError("broken_body", "an account without balances or sequence", { status: 200 });
  }
  try {
    const told = balancesByAsset(balances).filter(([asset]) => issuerOf(asset) !== account);
    return {
      balances: new Map(told.map(([asset, { balance }]) => [asset, parseStroops(balance)])),
      sequence: BigInt(sequence),
    };
  } catch (cause) {
    throw new HorizonError("broken_body", `a balance that can't be read: ${String(cause)}`, { cause });
  }
}

function told(ledger: LedgerSequence | null): LedgerSequence {
  if (ledger !== null) return ledger;
  throw new HorizonError(
    "broken_body",
    "the server does not say of which ledger the balances are (Latest-Ledger)",
  );
}
