import type { LastAudit, LastRecovery } from "./status.js";

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
