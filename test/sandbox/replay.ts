import {
  Asset,
  type FeeBumpTransaction,
  scValToNative,
  type Transaction,
  TransactionBuilder,
  type xdr,
} from "@stellar/stellar-sdk";
import { NATIVE } from "../../src/stellar/asset.js";
import { baseAccount, canonical } from "../../stage/sandbox/horizon-fields.js";
import { AccountEntry, TRUSTLINE_FLAGS } from "../../stage/sandbox/ledger-state.js";
import type { Submission } from "../../stage/sandbox/network.js";
import { resultCodes } from "../../stage/sandbox/result.js";
import { readFixture } from "../support/fixtures.js";
import { type Json, Stage } from "./stage.js";

/** A transaction that was played on the real network. */
export type Case = {
  readonly name: string;
  readonly hash: string;
  readonly outer: string;
  readonly ok: boolean;
  readonly ledger?: number;
  readonly envelope: string;
};

export const NETWORK: { network_passphrase: string; accounts: Record<string, string>; cases: Case[] } =
  readFixture("network/cases.json");

/** Failed ones have no ledger in cases.json; the recordings of one of them, and what was before and after it, say it. */
const LEDGER_OF_FAILED: Readonly<Record<string, number>> = {
  "failed: second operation underfunded": 1218,
  "failed, bumped": 1219,
};

/** What the offers of the recorded network came to: there an order book, here fixed prices. */
const { issuer } = NETWORK.accounts;
const PRICES = [
  { send: "native", receive: `USDC:${issuer}`, price: "0.5" },
  { send: `USDC:${issuer}`, receive: `EURLONGCODE:${issuer}`, price: "0.909090909090" },
];

/** More than any of the transactions moves. */
const PLENTY = 10n ** 15n;

/**
 * A sandbox with the passphrase of the recordings, to which `cases` were played in the ledgers and at the times in which
 * the real network had them, so that ids, hashes, times and links are the recorded ones. What a transaction needs of
 * its accounts is put there before it: the right number, lumens, trustlines.
 */
export async function replay(cases: readonly Case[]): Promise<Stage> {
  const first = Math.min(...cases.map(ledgerOf));
  const clock = { now: timeOf(first) };
  const stage = await Stage.open({
    passphrase: NETWORK.network_passphrase,
    firstLedger: first - 1,
    clock: () => clock.now,
    prices: PRICES,
  });
  const { network } = stage;
  for (const one of cases.toSorted((a, b) => ledgerOf(a) - ledgerOf(b))) {
    while (network.latest.sequence < ledgerOf(one) - 1) network.closeLedger();
    prepare(stage, one.envelope);
    clock.now = timeOf(ledgerOf(one));
    const submission = network.submit(one.envelope);
    if (submission.kind !== "queued")
      throw new Error(`${one.name}: ${submission.kind} ${codesOf(submission)}`);
    network.closeLedger();
  }
  return stage;
}

export function ledgerOf({ name, ledger }: Case): number {
  const found = ledger ?? LEDGER_OF_FAILED[name];
  if (found === undefined) throw new Error(`no ledger of ${name}`);
  return found;
}

/** A ledger a second; ledger 1191 closed at 18:14:45. */
function timeOf(ledger: number): number {
  return Date.parse("2026-11-30T18:14:45Z") + (ledger - 1191) * 1000;
}

/** Makes an envelope applicable: its accounts exist, hold plenty, and its source is at the number before. */
export function prepare(stage: Stage, envelope: string): void {
  const parsed = TransactionBuilder.fromXdr(envelope, stage.network.passphrase);
  const inner: Transaction = "innerTransaction" in parsed ? parsed.innerTransaction : parsed;
  const operations: Json[] = inner.operations;
  const fields = ["source", "destination"];
  const named = operations.flatMap((operation) => fields.map((field) => operation[field]));
  const merges = operations.some(({ type }) => type === "accountMerge");
  const trusts = operations.some(({ type }) => type === "changeTrust");
  const accounts = [inner.source, feeSource(parsed), ...named].filter((id) => typeof id === "string");
  // What a merge brings is all that the account has: that must be the recorded balance.
  for (const id of accounts.map(baseAccount)) entryOf(stage, id, merges ? 0n : PLENTY);
  for (const { type, destination } of operations) {
    if (type === "createAccount") stage.network.accounts.delete(destination);
  }
  const source = entryOf(stage, baseAccount(inner.source), 0n);
  source.sequence = BigInt(inner.sequence) - 1n;
  const calls = operations.filter(({ type }) => type === "invokeHostFunction");
  const held = calls.length === 0 ? [] : ["USDC", "CLAW"].map((code) => new Asset(code, issuer));
  const parties = calls.flatMap(({ func }) =>
    func.invokeContract.args.map((arg: xdr.ScVal) => scValToNative(arg)),
  );
  accounts.push(...parties.filter((value) => /^[GM]/.test(String(value))));
  const assets = operations
    .flatMap((operation) => Object.values(operation).flat())
    .concat(held)
    .filter((value): value is Asset => value instanceof Asset)
    .map(canonical)
    .filter((asset) => asset !== NATIVE);
  if (merges || trusts) return;
  for (const id of accounts.map(baseAccount)) {
    for (const asset of assets) {
      if (asset.endsWith(`:${id}`)) continue;
      entryOf(stage, id, 0n).trustlines.set(asset, {
        balance: PLENTY,
        limit: 2n ** 63n - 1n,
        modifiedLedger: 0,
        flags: TRUSTLINE_FLAGS.authorized,
      });
    }
  }
}

function entryOf(stage: Stage, id: string, atLeast: bigint): AccountEntry {
  const { accounts } = stage.network;
  const entry = accounts.get(id) ?? new AccountEntry(id);
  if (entry.balance < atLeast) entry.balance = atLeast;
  accounts.set(id, entry);
  return entry;
}

function feeSource(parsed: Transaction | FeeBumpTransaction): string {
  return "innerTransaction" in parsed ? parsed.feeSource : parsed.source;
}

/** The recordings' address in place of the sandbox's. */
export function asRecorded(stage: Stage, body: Json): Json {
  return JSON.parse(JSON.stringify(body).replaceAll(stage.sandbox.url, "http://127.0.0.1:8000"));
}

function codesOf(submission: Submission): string {
  return submission.kind === "refused" ? JSON.stringify(resultCodes(submission.verdict)) : "";
}
