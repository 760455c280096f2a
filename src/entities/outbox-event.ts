import { Column, Entity, PrimaryColumn } from "typeorm";
import type { SessionId } from "./checkout-session.js";

export type EventType = "payment.confirmed" | "session.expired";

/** What merchants will be told, committed by the transaction that made it true. */
@Entity("outbox_events")
export class OutboxEvent {
  /** One id for life: a receiver that keeps ids sees the event exactly once (G5). */
  @PrimaryColumn("uuid")
  id!: string;

  @Column("text")
  type!: EventType;

  @Column("uuid", { name: "session_id" })
  sessionId!: SessionId;

  /** JSON text, sent byte for byte. */
  @Column("text")
  body!: string;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;

  @Column("timestamptz", { name: "relayed_at", nullable: true })
  relayedAt!: Date | null;
}
