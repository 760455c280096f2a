import { Column, Entity, PrimaryColumn } from "typeorm";
import { bigintColumn } from "../postgres/strict-client.js";
import type { TraceParent } from "../tracing.js";
import type { ChargeId } from "./charge.js";
import type { SessionId } from "./checkout-session.js";

export const EVENT_TYPES = [
  "payment.confirmed",
  "session.expired",
  "session.cancelled",
  "exception.raised",
  "exception.accepted",
  "exception.refund_owed",
  "exception.dismissed",
  "charge.created",
  "charge.succeeded",
  "charge.failed",
  "charge.unknown",
  "charge.cancelled",
  "webhook.test",
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

/** What merchants will be told, committed by the transaction that made it true. */
@Entity("outbox_events")
export class OutboxEvent {
  /** One id for life: a receiver that keeps ids sees the event exactly once (G5). */
  @PrimaryColumn("uuid")
  id!: string;

  @Column("text")
  type!: EventType;

  /** The merchant whose event it is. */
  @Column("uuid", { name: "merchant_id" })
  merchantId!: string;

  /** What it is about: a session's id, or a credit's key. With the type it is unique: what happens once is told once. */
  @Column("text")
  subject!: string;

  /** The session that it concerns, where there is one: events of a session are delivered in order. */
  @Column("uuid", { name: "session_id", nullable: true })
  sessionId!: SessionId | null;

  /** The charge that it concerns, where there is one: its events are delivered in order too. */
  @Column("uuid", { name: "charge_id", nullable: true })
  chargeId!: ChargeId | null;

  /** The trace that it came about in, as W3C's `traceparent`; null where nothing is traced. */
  @Column("text", { name: "trace_parent", nullable: true })
  traceParent!: TraceParent | null;

  /** Its place among all events, given after the commit; null until then. */
  @Column("bigint", { nullable: true, transformer: bigintColumn })
  position!: bigint | null;

  /** JSON text, sent byte for byte. */
  @Column("text")
  body!: string;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;
}
