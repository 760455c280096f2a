import { Column, Entity, PrimaryColumn } from "typeorm";
import type { EventType } from "./outbox-event.js";

export type EndpointStatus = "active" | "paused" | "disabled";

/** Where a merchant is told of events. */
@Entity("webhook_endpoints")
export class WebhookEndpoint {
  @PrimaryColumn("uuid")
  id!: string;

  @Column("uuid", { name: "merchant_id" })
  merchantId!: string;

  @Column("text")
  url!: string;

  @Column("text", { default: "" })
  description!: string;

  /** The types it is told of; null: all of them. */
  @Column("text", { name: "event_types", array: true, nullable: true })
  eventTypes!: EventType[] | null;

  /** Paused: events wait for it. Disabled: they don't, but can be asked for again. */
  @Column("text", { default: "active" })
  status!: EndpointStatus;

  @Column("text", { name: "disabled_because", nullable: true })
  disabledBecause!: string | null;

  /** Of a disabled one: only the operator can resume it. */
  @Column("boolean", { name: "disabled_by_operator", default: false })
  disabledByOperator!: boolean;

  /** It asked to be left alone until then. */
  @Column("timestamptz", { name: "not_before", nullable: true })
  notBefore!: Date | null;

  /** Attempts that failed since the last one that didn't. */
  @Column("integer", { default: 0 })
  failures!: number;

  @Column("timestamptz", { name: "created_at", default: () => "now()" })
  createdAt!: Date;

  /** Kept for the sake of what was sent to it. */
  @Column("timestamptz", { name: "deleted_at", nullable: true })
  deletedAt!: Date | null;
}
