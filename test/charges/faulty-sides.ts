import type { DataSource } from "typeorm";
import { v7 as uuidv7 } from "uuid";
import { HorizonClient } from "../../src/horizon/client.js";
import type { Acceptor, Provider } from "../../src/providers/provider.js";
import { StellarAcceptor, StellarProvider } from "../../src/providers/stellar/provider.js";
import { STRIPE_ACCEPTOR } from "../../src/providers/stripe/accept.js";
import { stripeClients } from "../../src/providers/stripe/connect.js";
import { StripeProvider } from "../../src/providers/stripe/provider.js";
import { readSubmission } from "../../src/submission/submissions.js";
import type { FaultInput as HorizonFault } from "../../stage/sandbox/faults.js";
import type { FaultInput as StripeFault } from "../../stage/stripe-sandbox/faults.js";
import {
  type OtherSide,
  openStellarSide,
  openStripeSide,
  STRIPE_KEY,
  type Subject,
} from "../support/charge-sides.js";
import { Bank, type Fault } from "./bank.js";

/** A provider in this process with the side that moves its money, for schedules of whatever can befall a charge. */
export type FaultySide = Pick<OtherSide, "welcome" | "newBody" | "taken" | "stop"> & {
  readonly provider: Provider;
  readonly acceptor: Acceptor;
  /** What can befall it, by name. */
  readonly faults: readonly string[];
  /** Those that no answer comes after, until time has passed. */
  readonly silent: readonly string[];
  /** The next requests for the charge meet these, one each; null lets one through where that can be said. */
  arm(charge: Subject, faults: readonly (string | null)[]): void;
  disarm(charge: Subject): void;
  /** What was on its way arrives. */
  passTime(): Promise<void>;
};

const BANK_FAULTS = [
  "refuse",
  "drop-before",
  "error-before",
  "drop-after",
  "error-after",
  "decline",
] as const;

/** The tests' own bank: the smallest provider there is. */
export async function openBank(providerAt: (url: string) => Provider): Promise<FaultySide> {
  const bank = await new Bank().start();
  return {
    provider: providerAt(bank.url),
    acceptor: { name: "bank", accept: () => ({ payload: {}, providerId: null, submission: null }) },
    welcome: async () => undefined,
    newBody: () => ({ reference: uuidv7(), provider: "bank", amount: "10", currency: "EUR", payload: {} }),
    taken: ({ id }) => bank.taken(id),
    faults: BANK_FAULTS,
    silent: [],
    arm: ({ id }, faults) => void bank.faultsOf.set(id, faults.map((one) => one ?? "none") as Fault[]),
    disarm: ({ id }) => void bank.faultsOf.delete(id),
    passTime: async () => undefined,
    stop: () => bank.stop(),
  };
}

const STRIPE_FAULTS: Readonly<Record<string, StripeFault>> = {
  late: { kind: "late" },
  slow_answer: { kind: "slow_answer" },
  drop_after: { kind: "drop_after" },
  error_after: { kind: "error_after" },
  error_before: { kind: "error_before" },
  error_kept: { kind: "error_before", kept: true },
  reset: { kind: "reset" },
  truncate: { kind: "truncate" },
  rate_limit: { kind: "rate_limit" },
  lock_timeout: { kind: "lock_timeout" },
  in_flight: { kind: "in_flight" },
  twice: { kind: "twice" },
  late_confirmation: { kind: "late", ending: "/confirm" },
  lost_confirmation: { kind: "drop_after", ending: "/confirm" },
};

export async function openFaultyStripe(): Promise<FaultySide> {
  const side = await openStripeSide();
  const { faults } = side.sandbox;
  return {
    ...side,
    provider: new StripeProvider(stripeClients({ apiKey: STRIPE_KEY, apiUrl: side.sandbox.url })),
    acceptor: STRIPE_ACCEPTOR,
    faults: Object.keys(STRIPE_FAULTS),
    silent: ["late", "slow_answer", "late_confirmation"],
    arm: (_, names) => {
      for (const fault of known(names, STRIPE_FAULTS)) faults.add({ count: 1, ...fault });
    },
    disarm: () => faults.clear(),
    passTime: () => side.sandbox.settleDown(),
  };
}

const HORIZON_FAULTS: Readonly<Record<string, HorizonFault>> = {
  applied_504: { kind: "submit", outcome: "applied_504" },
  lost_504: { kind: "submit", outcome: "lost_504" },
  applied_bad_seq: { kind: "submit", outcome: "applied_bad_seq" },
  try_again_later: { kind: "submit", outcome: "try_again_later" },
  error: { kind: "status", status: 500 },
  rate_limit: { kind: "status", status: 429 },
  truncate: { kind: "truncate" },
  late: { kind: "delay", ms: 300 },
  behind: { kind: "behind", ledgers: 2 },
  headerless: { kind: "headerless" },
};

/** Ledgers close when time passes. */
export async function openFaultyStellar(dataSource: DataSource): Promise<FaultySide> {
  const side = await openStellarSide({ ledgerMs: 0, submitTimeoutMs: 50 });
  const { network, sandbox } = side.stage;
  const { payerSends, strangerBumps } = side;
  return {
    ...side,
    provider: new StellarProvider({
      horizon: new HorizonClient({ url: sandbox.url }),
      passphrase: network.passphrase,
      submissionOf: (id) => readSubmission(dataSource, id),
      awaitMs: 20,
      lookEveryMs: 10,
    }),
    acceptor: new StellarAcceptor(network.passphrase),
    faults: [...Object.keys(HORIZON_FAULTS), "payer_sends", "stranger_bumps"],
    silent: ["late"],
    arm: ({ reference }, names) => {
      if (names.includes("payer_sends")) payerSends(reference);
      if (names.includes("stranger_bumps")) strangerBumps(reference);
      for (const fault of known(names, HORIZON_FAULTS)) sandbox.faults.add({ count: 1, ...fault });
    },
    disarm: () => sandbox.faults.clear(),
    passTime: async () => {
      network.closeLedger();
    },
  };
}

function known<T>(names: readonly (string | null)[], faults: Readonly<Record<string, T>>): T[] {
  return names.flatMap((name) => (name === null ? [] : (faults[name] ?? [])));
}
