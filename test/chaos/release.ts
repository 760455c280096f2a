import { createDataSource } from "../../src/entities/data-source.js";
import { Merchant } from "../../src/entities/merchant.js";
import { migrate } from "../../src/entities/migrate.js";
import { ReceivingAccount } from "../../src/entities/receiving-account.js";
import { issueKey } from "../../src/http/merchants/keys.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { createSession } from "../../src/settlement/create-session.js";
import { beginProcessing } from "../../src/settlement/end-session.js";
import { watchAccount } from "../../src/settlement/watch-account.js";
import { createEndpoint } from "../../src/webhooks/endpoints.js";
import { CLI } from "../support/role-process.js";

/**
 * A version of the product: the program that its roles are, and what the driver itself does with the database, which
 * must fit the tables of that version.
 */
export type Release = {
  readonly cli: string;
  readonly migrate: typeof migrate;
  readonly createDataSource: typeof createDataSource;
  readonly createSession: typeof createSession;
  readonly beginProcessing: typeof beginProcessing;
  readonly inSerializableTransaction: typeof inSerializableTransaction;
  readonly watchAccount: typeof watchAccount;
  readonly issueKey: typeof issueKey;
  readonly createEndpoint: typeof createEndpoint;
  readonly Merchant: typeof Merchant;
  readonly ReceivingAccount: typeof ReceivingAccount;
};

/** This checkout's. */
export const PRESENT: Release = {
  cli: CLI,
  migrate,
  createDataSource,
  createSession,
  beginProcessing,
  inSerializableTransaction,
  watchAccount,
  issueKey,
  createEndpoint,
  Merchant,
  ReceivingAccount,
};
