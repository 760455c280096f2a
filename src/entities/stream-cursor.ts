import { Column, Entity, type EntityManager, PrimaryColumn } from "typeorm";
import { bigintColumn } from "../postgres/strict-client.js";
import type { AccountId } from "../stellar/credit.js";
import type { OperationId } from "../stellar/operation-id.js";

/** A watched account, and how far the truth in Postgres reaches for it. */
@Entity("stream_cursors")
export class StreamCursor {
  @PrimaryColumn("text")
  account!: AccountId;

  /** The account's credits count from here on, exclusive. Fixed before its first session can exist. */
  @Column("bigint", { name: "starting_cursor", transformer: bigintColumn })
  startingCursor!: OperationId;

  /** Every credit of the account at or below it is committed. Only ever grows. */
  @Column("bigint", { transformer: bigintColumn })
  watermark!: OperationId;

  /**
   * Every credit at or below it is committed that the server had when it was asked: for audits and for who looks on. Behind
   * a balancer the answer may have come from a server that was not so far, so that no cursor begins here. Compared with
   * the watermark, the greater one holds.
   */
  @Column({ type: "bigint", name: "read_through", transformer: bigintColumn, insert: false, update: false })
  readThrough!: OperationId;

  /**
   * Close time of a ledger up to which every credit is committed: the network's own clock, by which
   * sessions expire. Null until the first ledger was seen.
   */
  @Column("timestamptz", { name: "settled_through", nullable: true })
  settledThrough!: Date | null;

  /** Why ingest stopped this account with an alarm; null while all is well. */
  @Column("text", { name: "halted_because", nullable: true })
  haltedBecause!: string | null;

  @Column("timestamptz", { name: "halted_at", nullable: true })
  haltedAt!: Date | null;

  /** Into how many streams its credits are spread, by hash of the memo. */
  @Column("integer")
  shards!: number;

  /** Into how many they were before, while those streams may still be there; null otherwise. */
  @Column("integer", { name: "former_shards", nullable: true })
  formerShards!: number | null;

  /**
   * Whether it is read from the network's feed, together with others. Then the view `watched_cursors` tells how far, and
   * the columns here stay where they were when it joined.
   */
  @Column("boolean", { name: "in_network", default: false })
  inNetwork!: boolean;
}

/** The accounts whose credits count, in a stable order. */
export function watchedAccounts(manager: EntityManager): Promise<AccountId[]> {
  return accountsIn(manager, "SELECT account FROM stream_cursors ORDER BY account");
}

/** Those of them that are read one by one, not from the network's feed, in a stable order. */
export function accountsByThemselves(manager: EntityManager): Promise<AccountId[]> {
  return accountsIn(manager, "SELECT account FROM stream_cursors WHERE NOT in_network ORDER BY account");
}

/** Plain rows: there may be a hundred thousand, and this is asked every two seconds. */
async function accountsIn(manager: EntityManager, query: string): Promise<AccountId[]> {
  const rows: { account: AccountId }[] = await manager.query(query);
  return rows.map(({ account }) => account);
}

/** A range of the network's history that no server could give us, accepted by a person, on the record. */
@Entity("history_holes")
export class HistoryHole {
  @PrimaryColumn("text")
  account!: AccountId;

  /** First operation id that may be missing. */
  @PrimaryColumn("bigint", { name: "missing_from", transformer: bigintColumn })
  missingFrom!: OperationId;

  /** Last operation id that may be missing. */
  @Column("bigint", { name: "missing_to", transformer: bigintColumn })
  missingTo!: OperationId;

  @Column("text")
  reason!: string;

  @Column("timestamptz", { name: "accepted_at", default: () => "now()" })
  acceptedAt!: Date;
}
