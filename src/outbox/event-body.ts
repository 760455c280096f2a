/**
 * What the merchant has said of a session goes into each event that concerns it: the amount and asset asked for, and the
 * metadata, by which a shop finds its order. It is added where an event is written, from the row that is there: whoever
 * builds an event need not have read it. Nothing of it ever changes, so that the same event has the same body for ever.
 */

/** The end of `{ "id": …, "type": …, "data": { … } }`, which more members of `data` are put before. */
const END = "}}";

/**
 * SQL: the body of an event, with what was asked for.
 * @param body an expression: what `eventOf` made
 * @param session the alias of a row of checkout_sessions, all null where the event concerns none
 */
export function ofSession(body: string, session: string): string {
  const amount = `${session}.amount`;
  const members = [
    member(
      "amount_asked",
      `'"' || ${amount} / 10000000 || '.' || lpad((${amount} % 10000000)::text, 7, '0') || '"'`,
    ),
    member("asset_asked", `to_json(${session}.asset)::text`),
    member("metadata", `${session}.metadata::text`),
  ];
  return withMembers(body, members);
}

/**
 * SQL: the body of an event, with the charge's metadata. Its amount stands in the event already.
 * @param charge the alias of a row of charges
 */
export function ofCharge(body: string, charge: string): string {
  return withMembers(body, [member("metadata", `${charge}.metadata::text`)]);
}

function member(name: string, json: string): string {
  return `',"${name}":' || coalesce(${json}, 'null')`;
}

function withMembers(body: string, members: readonly string[]): string {
  return `(left(${body}, -${END.length}) || ${members.join(" || ")} || '${END}')`;
}
