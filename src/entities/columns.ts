import type { ValueTransformer } from "typeorm";

/** Postgres int8 arrives as text, because it passes 2^53: it becomes a bigint here, never a number. */
export const bigintColumn: ValueTransformer = {
  from: (text: string | null) => (text === null ? null : BigInt(text)),
  to: (value: bigint | null) => value?.toString() ?? null,
};
