/**
 * What the network said to a transaction, as one line: `tx_too_late`, or `tx_failed (op_underfunded)` with the code
 * of each operation that has one of its own. Of a fee bump the inner transaction's, which is what was to pay.
 * @param resultXdr base64 of a TransactionResult: `result_xdr` of Horizon's transaction (Stellar-transaction.x)
 * @returns `unreadable` where it is none: the verdict is known all the same, only its reason is not
 */
export async function resultCodeOf(resultXdr: unknown): Promise<string> {
  // Loaded where a network has said no: what only reads from Horizon starts without the SDK, in half the time.
  const { xdr } = await import("@stellar/stellar-sdk");
  try {
    if (typeof resultXdr !== "string") return "unreadable";
    const { result } = xdr.TransactionResult.fromXdr(resultXdr, "base64");
    return codeOf("innerResultPair" in result ? result.innerResultPair.result.result : result);
  } catch {
    return "unreadable";
  }
}

/**
 * Whether a transaction that failed in a ledger has used up its sequence number there: then it can be in no other.
 * One whose operations failed has. What the ledger refused before them has not, always: of a fee bump whose own
 * signature or balance no longer held, the transaction inside was not tried, and anybody can bump it anew (CAP-15,
 * stellar-core FeeBumpTransactionFrame::apply). Horizon finds such a bump by the hash of the inner one too.
 */
export function isSpent(resultCode: string): boolean {
  return resultCode === "tx_failed" || resultCode.startsWith("tx_failed (");
}

function codeOf(result: { readonly type: string; readonly results?: readonly Operation[] }): string {
  const operations = (result.results ?? []).map(operationCode);
  const code = snake(result.type);
  return operations.length === 0 ? code : `${code} (${operations.join(", ")})`;
}

type Operation = { readonly type: string; readonly tr?: { readonly type: string } };

/** `paymentUnderfunded` of a `payment` is `op_underfunded`: each type repeats its name in its codes. */
function operationCode({ type, tr }: Operation): string {
  if (tr === undefined) return snake(type);
  const own: unknown = Object.values(tr).find((value) => typeof value === "object" && value !== null);
  const code = typeof own === "object" && own !== null && "type" in own ? String(own.type) : type;
  // A passive offer has the results of an ordinary one, by whose name its codes begin.
  return snake(`op${code.startsWith(tr.type) ? code.slice(tr.type.length) : `_${code}`}`);
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
