import type { EntityManager } from "typeorm";
import type { Asset } from "../../stellar/asset.js";
import type { AccountId } from "../../stellar/credit.js";
import { invalidField, Problem, type ProblemKind } from "../server/problem.js";

const TAKING = `SELECT account FROM receiving_accounts WHERE merchant_id = $1 AND $2 = ANY (assets) LIMIT 2`;

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
  const [account, another]: { account: AccountId }[] = await manager.query(TAKING, [merchantId, asset]);
  if (account === undefined) {
    throw new Problem(refused, `No receiving account takes ${asset}: register one for it first.`);
  }
  if (another !== undefined) throw invalidField("account", `several accounts take ${asset}: name one`);
  return account.account;
}
