import type { ChargeOrder, ChargeOutcome, FindOutcome, Provider } from "../../src/providers/provider.js";

type Answer = { readonly state?: "taken" | "declined" | "absent"; readonly id?: string };

const DECLINED = { kind: "declined", code: "declined", detail: "the bank declined it" } as const;

/** Charges at a test's bank under the charge's own id. */
export function bankProvider(url: string, name = "bank"): Provider {
  const nameOf = (charge: ChargeOrder) => charge.providerId ?? charge.id;
  return {
    name,
    charge: async (charge, signal): Promise<ChargeOutcome> => {
      const answer = await ask(`${url}/charge/${nameOf(charge)}`, signal, { charge: charge.id });
      if (answer === 429) return { kind: "refused", detail: "too many requests" };
      if (typeof answer !== "object") return { kind: "unknown", detail: `status ${answer}` };
      return answer.state === "taken" ? { kind: "succeeded", providerId: nameOf(charge) } : DECLINED;
    },
    find: async (charge, signal): Promise<FindOutcome> => {
      const answer = await ask(`${url}/find/${nameOf(charge)}`, signal);
      if (typeof answer !== "object") return { kind: "unknown", detail: `status ${answer}` };
      if (answer.state === "absent") return { kind: "absent", detail: "no such charge" };
      return answer.state === "taken" ? { kind: "succeeded", providerId: nameOf(charge) } : DECLINED;
    },
  };
}

/** The same, by an intent that is named first: only a name that was committed is ever charged. */
export function intentProvider(url: string): Provider {
  return {
    ...bankProvider(url),
    prepare: async (charge, signal) => {
      const answer = await ask(`${url}/intent/${charge.id}`, signal, { charge: charge.id });
      if (answer === 429) return { kind: "refused", detail: "too many requests" };
      if (typeof answer !== "object") throw new Error(`status ${answer}`);
      return answer.id === undefined ? DECLINED : { kind: "prepared", providerId: answer.id };
    },
  };
}

/** @throws what fetch throws when the connection breaks or the deadline is over */
async function ask(url: string, signal: AbortSignal, body?: object): Promise<Answer | number> {
  const request = body && { method: "POST", body: JSON.stringify(body) };
  // A connection of its own: one that was cut must not fail the next call.
  const response = await fetch(url, { signal, headers: { connection: "close" }, ...request });
  const said = await response.text();
  return response.ok ? (JSON.parse(said) as Answer) : response.status;
}
