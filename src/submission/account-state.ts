import { HorizonError } from "../horizon/errors.js";
import { type Fields, isFields } from "../horizon/fields.js";
import { balancesByAsset } from "../horizon/receiving-state.js";
import { type Asset, NATIVE } from "../stellar/asset.js";
import { parseStroops } from "../stellar/stroops.js";

/** A key that can sign for an account, and its weight. */
export type Signer = { readonly key: string; readonly type: string; readonly weight: number };

/** What an account can do in the next ledger. */
export type AccountState = {
  /** The last sequence number that it has used. */
  readonly sequence: bigint;
  readonly signers: readonly Signer[];
  /** The weight that a fee or a sequence number needs, and the one that a payment needs. */
  readonly thresholds: { readonly low: number; readonly medium: number };
  /** Stroops that it can spend of each asset: without its reserve, and without what its offers have promised. */
  readonly spendable: ReadonlyMap<Asset, bigint>;
};

/** The network's base reserve, 0.5 XLM, of which an account keeps two and one for each entry that it has. */
const BASE_RESERVE = 5_000_000n;

/**
 * Reads Horizon's account resource.
 * @throws HorizonError `broken_body` where it says less than an account has
 */
export function accountState(fields: Fields): AccountState {
  try {
    const { sequence, signers, thresholds, balances } = fields;
    if (typeof sequence !== "string" || !/^\d{1,19}$/.test(sequence)) throw new Error("no sequence");
    if (!Array.isArray(signers) || !Array.isArray(balances) || !isFields(thresholds)) {
      throw new Error("no signers, balances or thresholds");
    }
    const spendable = new Map(
      balancesByAsset(balances).map(([asset, balance]) => [asset, spendableOf(asset, balance, fields)]),
    );
    return {
      sequence: BigInt(sequence),
      signers: signers.map(signerOf),
      thresholds: {
        low: count(thresholds.low_threshold, "low_threshold"),
        medium: count(thresholds.med_threshold, "med_threshold"),
      },
      spendable,
    };
  } catch (cause) {
    throw new HorizonError("broken_body", `an account that can't be read: ${String(cause)}`, { cause });
  }
}

function signerOf(signer: unknown): Signer {
  if (!isFields(signer) || typeof signer.key !== "string" || typeof signer.type !== "string") {
    throw new Error("a signer without a key");
  }
  return { key: signer.key, type: signer.type, weight: count(signer.weight, "weight") };
}

function spendableOf(asset: Asset, balance: Fields, account: Fields): bigint {
  const promised = balance.selling_liabilities === undefined ? 0n : parseStroops(balance.selling_liabilities);
  const reserve = asset === NATIVE ? reserveOf(account) : 0n;
  return parseStroops(balance.balance) - promised - reserve;
}

function reserveOf(account: Fields): bigint {
  const [entries, sponsoring, sponsored] = [
    account.subentry_count,
    account.num_sponsoring ?? 0,
    account.num_sponsored ?? 0,
  ].map((value) => count(value, "subentry_count"));
  return BigInt(2 + (entries ?? 0) + (sponsoring ?? 0) - (sponsored ?? 0)) * BASE_RESERVE;
}

function count(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} is no count`);
}
