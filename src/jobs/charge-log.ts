import type { Logger } from "pino";
import type { ChargeAttempted } from "../charges/run-charge.js";
import type { Finding } from "../recovery/finding.js";

/** One line for each attempt at a charge: the first that leaves it unknown is a warning, later ones are no news. */
export function logAttempt(
  { claim, heard, verdict, recorded, durationMs }: ChargeAttempted,
  logger: Logger,
): void {
  const { id: charge, provider, attempt } = claim;
  const fields = { charge, provider, attempt, outcome: heard.kind, took: durationMs };
  const why = "detail" in heard ? heard.detail : heard.kind;
  if (recorded.kind === "contradiction") {
    logger.error(fields, `a charge is ${recorded.status}, and its provider says ${heard.kind}`);
  } else if (recorded.kind === "not_ours") {
    logger.warn(fields, "an attempt at a charge took so long that another worker took it over");
  } else if (verdict.kind === "end") {
    const { ending } = verdict;
    if (ending.kind === "succeeded") logger.debug(fields, "charge succeeded");
    else logger.info(fields, `charge failed, ${ending.code}: ${ending.detail}`);
  } else if (verdict.kind === "again") logger.info(fields, `charge refused, to be sent again: ${why}`);
  else if (heard.kind === "in_progress")
    logger.info(fields, `the provider has not decided yet, it is asked again: ${why}`);
  else {
    const level = claim.status === "processing" ? "warn" : "info";
    logger[level](fields, `nobody knows whether it was charged, the provider is asked again: ${why}`);
  }
}

/** What a person must see: our record says one thing, and the provider another. */
export function contradicted(
  { id, provider, providerId, attempt }: ChargeAttempted["claim"],
  heard: ChargeAttempted["heard"],
  status: string,
): Finding {
  const named = "providerId" in heard ? heard.providerId : providerId;
  return {
    kind: "charge_contradicted",
    subject: id,
    action: "needs_person",
    detail: `The charge is ${status}, and ${provider} says ${heard.kind}. Look it up there, and refund or record it by hand`,
    evidence: { provider, attempt, said: heard.kind, provider_id: named },
    before: { status },
    after: { status },
  };
}
