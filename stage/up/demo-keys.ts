import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DataSource } from "typeorm";
import { ApiKey } from "../../src/entities/api-key.js";
import { issueKey } from "../../src/http/merchants/keys.js";
import { hashKey, modeOf } from "../../src/http/server/caller.js";

/** The keys of the demo: kept as they are, so that every start prints them. Never done where money is real. */
export type DemoKeys = { readonly admin: string; readonly merchant: string };

const FILE = "keys.json";

export class NoDemoError extends Error {
  override readonly name = "NoDemoError";
}

/** The demo's keys, made at the first start. Another database gets another merchant's key. */
export async function demoKeys(
  folder: string,
  dataSource: DataSource,
  merchantId: string,
  networkPassphrase: string,
): Promise<DemoKeys> {
  const file = join(folder, FILE);
  const kept = await readKeys(file);
  const admin = kept.admin ?? randomBytes(32).toString("hex");
  const known = await knownKey(dataSource, kept.merchant);
  const merchant =
    known ?? (await issueKey(dataSource.manager, merchantId, modeOf(networkPassphrase), "demo")).key;
  await writeFile(file, JSON.stringify({ admin, merchant }), { mode: 0o600 });
  return { admin, merchant };
}

/** The keys that the last start printed. @throws NoDemoError where there was none */
export async function keptKeys(folder: string): Promise<DemoKeys> {
  const { admin, merchant } = await readKeys(join(folder, FILE));
  if (admin === undefined || merchant === undefined)
    throw new NoDemoError("no demo here: run `paidonce up` first");
  return { admin, merchant };
}

async function readKeys(file: string): Promise<Partial<DemoKeys>> {
  return JSON.parse(await readFile(file, "utf8").catch(() => "{}"));
}

async function knownKey(dataSource: DataSource, key: string | undefined): Promise<string | null> {
  if (key === undefined) return null;
  return (await dataSource.manager.existsBy(ApiKey, { secretHash: hashKey(key) })) ? key : null;
}
