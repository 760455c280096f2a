import { userInfo } from "node:os";
import { InvalidArgumentError } from "commander";
import { validate } from "uuid";
import { parseAccountId } from "../stellar/account.js";
import type { AccountId } from "../stellar/credit.js";

/** How many lines of a list. */
export function limit(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError("It must be a number from 1 to 9999.");
  return Number(text);
}

/** @param what whose id it is, such as `a charge's` */
export function idOf<Id extends string = string>(what: string): (text: string) => Id {
  return (text) => {
    if (!validate(text)) throw new InvalidArgumentError(`It must be ${what} id, a UUID.`);
    return text as Id;
  };
}

/**
 * What a person writes about a decision. It is kept, for whoever asks later why it was so.
 * @param says what it must say, such as `why`
 */
export function note(says: string, mostCharacters = 1_000): (text: string) => string {
  return (text) => {
    const trimmed = text.trim();
    if (trimmed !== "" && trimmed.length <= mostCharacters) return trimmed;
    throw new InvalidArgumentError(`It must say ${says}, in 1 to ${mostCharacters} characters.`);
  };
}

export function account(text: string): AccountId {
  try {
    return parseAccountId(text);
  } catch {
    throw new InvalidArgumentError("It must be a G… account.");
  }
}

/** The name of the person who decides. It is written beside what was decided. */
export function operator(): string {
  return `operator:${userInfo().username}`;
}
