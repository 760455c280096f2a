import { type Asset, codeOf, issuerOf } from "../stellar/asset.js";
import type { LastAudit, LastRecovery, OpenExceptions, OutsidePayments, RefundsOwed } from "./status.js";

/** A length of time as people say it. */
export function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** An audit in words; null is one that has not run. */
export function auditInWords(audit: LastAudit | null): string {
  if (audit === null) return "not yet run";
  const found = audit.differences === 0 ? "nothing" : `${audit.differences} DIFFERENCES`;
  return `found ${found} in ${audit.accounts} ${audit.accounts === 1 ? "account" : "accounts"}, ${duration(audit.age_seconds)} ago`;
}

/** The last run of recovery in words; null is one that has not ended. */
export function recoveryInWords(last: LastRecovery | null): string {
  if (last === null) return "not yet run";
  const failed = Object.keys(last.failures).length;
  const parts = [
    last.repaired === 0 ? "nothing to put right" : `${last.repaired} put right`,
    ...(last.waiting > 0 ? [`${last.waiting} left for the next run`] : []),
    ...(failed > 0 ? [`${failed} CHECKS NOT MADE`] : []),
    ...(last.needs_person > 0 ? [`${last.needs_person} FOR A PERSON`] : []),
  ];
  return `${parts.join(", ")}, ${duration(last.age_seconds)} ago`;
}

/** Milliseconds as seconds with one decimal. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Assets that one line names; the JSON has more. */
const ASSETS_SHOWN = 3;

/**
 * The open exceptions that a verdict can be given on: what could not be read is the operator's own work, and is counted by
 * itself.
 */
export function awaitingVerdict(exceptions: OpenExceptions): {
  readonly open: number;
  readonly oldest_seconds: number | null;
} {
  const { unreadable: _, ...readable } = exceptions.by_reason;
  const reasons = Object.values(readable);
  const ages = reasons.flatMap(({ oldest_seconds: oldest }) => oldest ?? []);
  return {
    open: reasons.reduce((sum, { open }) => sum + open, 0),
    oldest_seconds: ages.length === 0 ? null : Math.max(...ages),
  };
}

/** Such as `3 late, 1 unreadable; the oldest for 2 days`. */
export function exceptionsInWords({ by_reason: byReason, oldest_seconds: oldest }: OpenExceptions): string {
  if (oldest === null) return "none waits";
  const counted = Object.entries(byReason)
    .filter(([, { open }]) => open > 0)
    .map(([reason, { open }]) => `${open} ${reason.replaceAll("_", " ")}`);
  return `${counted.join(", ")}; the oldest for ${duration(oldest)}`;
}

/** Such as `2 open; the oldest for 3 h`. */
export function outsideInWords({ open, oldest_seconds: oldest }: OutsidePayments): string {
  return oldest === null ? "none open" : `${open} open; the oldest for ${duration(oldest)}`;
}

/** Such as `2 refunds owed: 12.5000000 XLM`. */
export function refundsInWords({ refunds, by_asset: byAsset, more_assets: more }: RefundsOwed): string {
  if (refunds === 0) return "no refunds owed";
  const shown = byAsset.slice(0, ASSETS_SHOWN).map(({ asset, amount }) => `${amount} ${assetInWords(asset)}`);
  const left = byAsset.length - shown.length + more;
  const others = left === 0 ? "" : `, and ${left} other ${left === 1 ? "asset" : "assets"}`;
  return `${refunds} ${refunds === 1 ? "refund" : "refunds"} owed: ${shown.join(", ")}${others}`;
}

/** With the issuer: anybody can issue an asset of the same code. */
function assetInWords(asset: Asset): string {
  const issuer = issuerOf(asset);
  return issuer === null ? codeOf(asset) : `${codeOf(asset)}:${issuer.slice(0, 4)}…${issuer.slice(-4)}`;
}
