import type { LedgerSequence } from "../stellar/operation-id.js";
import { HorizonError } from "./errors.js";
import { closedAtOf, type Fields, isFields } from "./fields.js";

// Fields without which an answer is none: where one is missing, the server is as good as away (`broken_body`).

export function expectFields(body: unknown, where: string): Fields {
  if (isFields(body)) return body;
  throw new HorizonError("broken_body", `${where}: the body is no object`, { status: 200 });
}

export function textField(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw new HorizonError("broken_body", `${name} is missing`, { status: 200 });
}

export function ledgerField(fields: Fields, name: string): LedgerSequence {
  const value = fields[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value as LedgerSequence;
  throw new HorizonError("broken_body", `${name} is no ledger`, { status: 200 });
}

export function timeOrNull(text: unknown): Date | null {
  try {
    return closedAtOf({ created_at: text });
  } catch {
    return null;
  }
}
