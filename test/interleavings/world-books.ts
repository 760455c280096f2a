import type { SessionStatus } from "../../src/entities/checkout-session.js";
import { differences } from "../support/ingest.js";
import type { World } from "./world.js";
import type { Found } from "./world-model.js";

/** G3, against what the network itself says. */
export function conservation(world: World): Promise<string[]> {
  return differences(world.servers.dataSource, world.servers.stage.network, world.owner.account);
}

/** What Postgres says of a world, by the numbers that its model knows. */
export async function readFound(world: World): Promise<Found> {
  const { dataSource } = world.servers;
  const ids = world.sessions.map(({ id }) => id);
  const numberOf = (id: string | null) => (id === null ? null : ids.indexOf(id as (typeof ids)[number]));
  const sessions: { id: string; status: SessionStatus }[] = await dataSource.query(
    "SELECT id, status FROM checkout_sessions WHERE account = $1",
    [world.owner.account],
  );
  const events: { type: string; subject: string }[] = await dataSource.query(
    "SELECT type, subject FROM outbox_events WHERE merchant_id = $1",
    [world.owner.merchantId],
  );
  const credits: CreditRow[] = await dataSource.query(CREDITS, [world.owner.account]);
  const about = (subject: string) =>
    events.filter((event) => event.subject === subject).map((event) => event.type);
  return {
    sessions: ids.map((id) => ({
      status: sessions.find((row) => row.id === id)?.status ?? "processing",
      events: about(id),
    })),
    credits: credits.map(({ key, pays, surplus, reason, names }) => {
      return { key, pays: numberOf(pays), surplus, reason, names: numberOf(names), events: about(key) };
    }),
  };
}

const CREDITS = `
  SELECT c.operation_id || '-' || c.move_index AS key, p.session_id AS pays, p.surplus::text AS surplus,
         e.reason, e.session_id AS names
  FROM credits c
  LEFT JOIN payments p USING (operation_id, move_index)
  LEFT JOIN payment_exceptions e USING (operation_id, move_index)
  WHERE c.account = $1`;

type CreditRow = {
  key: string;
  pays: string | null;
  surplus: string | null;
  reason: string | null;
  names: string | null;
};
