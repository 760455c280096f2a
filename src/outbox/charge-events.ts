import type { Charge } from "../entities/charge.js";
import type { EventType } from "../entities/outbox-event.js";
import { formatStroops } from "../stellar/stroops.js";
import { type Event, eventOf } from "./events.js";

/** What events say of a charge. Nothing of its payload, and nothing that a clock of ours says. */
export type ToldCharge = Pick<
  Charge,
  "id" | "reference" | "provider" | "amount" | "currency" | "asset" | "providerId"
>;

/** `charge.created`: it was accepted, and will be charged. */
export function chargeCreated(charge: ToldCharge): Event {
  return event("charge.created", charge, {});
}

/** `charge.succeeded`: the provider has the money. Told once. */
export function chargeSucceeded(charge: ToldCharge): Event {
  return event("charge.succeeded", charge, {});
}

/** `charge.failed`: nothing was charged, and nothing will be. Told once. */
export function chargeFailed(charge: ToldCharge, code: string, detail: string): Event {
  return event("charge.failed", charge, { failure_code: code, failure_detail: detail });
}

/** `charge.unknown`: nobody knows yet whether it was charged. `charge.succeeded` or `charge.failed` follows. */
export function chargeUnknown(charge: ToldCharge): Event {
  return event("charge.unknown", charge, {});
}

/** `charge.cancelled`: by the merchant, before anything was sent. */
export function chargeCancelled(charge: ToldCharge): Event {
  return event("charge.cancelled", charge, {});
}

function event(type: EventType, charge: ToldCharge, more: Readonly<Record<string, unknown>>): Event {
  return eventOf(type, charge.id, {
    charge_id: charge.id,
    reference: charge.reference,
    provider: charge.provider,
    // Known at the end alone: an event that tells of the beginning must not differ by who wrote it when.
    ...(type === "charge.succeeded" ? { provider_id: charge.providerId } : {}),
    amount: formatStroops(charge.amount),
    currency: charge.currency,
    asset: charge.asset,
    ...more,
  });
}
