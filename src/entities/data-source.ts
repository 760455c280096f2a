import "reflect-metadata";
import type pg from "pg";
import { DataSource, type MigrationInterface } from "typeorm";
import { applySettings, type SessionSettings, StrictClient } from "../postgres/strict-client.js";
import { ApiKey } from "./api-key.js";
import { Charge } from "./charge.js";
import { CheckoutSession } from "./checkout-session.js";
import { Merchant } from "./merchant.js";
import { Schema1 } from "./migrations/0001-schema.js";
import { OutboxEvent } from "./outbox-event.js";
import { ReceivingAccount } from "./receiving-account.js";
import { HistoryHole, StreamCursor } from "./stream-cursor.js";
import { WebhookEndpoint } from "./webhook-endpoint.js";

export type DatabaseSettings = {
  readonly url: string;
  /** Shown in pg_stat_activity: which role holds the connection. */
  readonly applicationName: string;
  /** Connections of this process at the most. */
  readonly poolSize?: number;
  /**
   * The server ends a statement, or a transaction left idle, after this many milliseconds. Shorter than a
   * lock's lease, so that a paused process can't come back and commit under a lock that it lost.
   */
  readonly statementTimeoutMs?: number;
  /** A statement that waits longer for one lock fails; by default only as long as it may take at all. */
  readonly lockTimeoutMs?: number;
  /** A hot standby: it takes no writes, and refuses SERIALIZABLE, which a database may have for its default. */
  readonly isStandby?: boolean;
  /** By default MIGRATIONS. */
  readonly migrations?: readonly MigrationClass[];
};

/** In their order. */
export const MIGRATIONS: readonly MigrationClass[] = [Schema1];

export type MigrationClass = new () => MigrationInterface;

/** How long to wait for a connection before the database counts as unavailable. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * A connection is not older than this. Whatever a server was when the connection was made (a primary that has become a
 * standby, one of a name that leads elsewhere now), it does not count for longer.
 */
const MAX_LIFETIME_S = 600;

const ON_STANDBY: SessionSettings = {
  default_transaction_read_only: "on",
  default_transaction_isolation: "repeatable read",
};

/** The connection pool and entities of one process. Call `initialize()` before use, `destroy()` at the end. */
export function createDataSource(settings: DatabaseSettings): DataSource {
  const timeout = settings.statementTimeoutMs ?? 5_000;
  const ofSession: SessionSettings = {
    statement_timeout: String(timeout),
    idle_in_transaction_session_timeout: String(timeout),
    ...(settings.lockTimeoutMs !== undefined && { lock_timeout: String(settings.lockTimeoutMs) }),
    timezone: "UTC",
    // A server that is told to say less must still say when a COMMIT did not wait for its standby.
    client_min_messages: "warning",
    ...(settings.isStandby && ON_STANDBY),
  };
  return new DataSource({
    type: "postgres",
    url: settings.url,
    applicationName: settings.applicationName,
    poolSize: settings.poolSize ?? 10,
    entities: [
      Merchant,
      ApiKey,
      ReceivingAccount,
      StreamCursor,
      HistoryHole,
      CheckoutSession,
      OutboxEvent,
      WebhookEndpoint,
      Charge,
    ],
    migrations: [...(settings.migrations ?? MIGRATIONS)],
    migrationsTableName: "migrations",
    // All in one would hold each other's locks until the last is done.
    migrationsTransactionMode: "each",
    synchronize: false,
    logging: false,
    installExtensions: false,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    // Without this a connection that dies while idle in the pool is an unhandled error and ends the process.
    poolErrorHandler: () => undefined,
    extra: {
      Client: StrictClient,
      onConnect: (client: pg.Client) => applySettings(client, ofSession),
      maxLifetimeSeconds: MAX_LIFETIME_S,
      // A client that waits for ever on a dead peer would hold its entries for ever.
      query_timeout: timeout + 2_000,
      keepAlive: true,
    },
  });
}
