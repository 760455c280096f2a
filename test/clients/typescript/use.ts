/** Uses the generated client, whose answers are checked by the schemas that its generator has made, and says what it saw. */
import { client } from "./generated/client.gen.js";
import { createSession, getEvent, getSession, listSessions } from "./generated/index.js";

/** All that is used of Node. */
declare const process: { readonly env: Readonly<Record<string, string | undefined>> };

const { API_URL = "", API_KEY = "", EVENT = "", MISSING = "", AFTER = "", EXPIRES = "" } = process.env;
client.setConfig({ baseUrl: API_URL, auth: API_KEY });

const created = await createSession({
  headers: { "Idempotency-Key": "typescript" },
  body: { amount: "12.50", asset: "native", expires_at: EXPIRES, metadata: { order: "typescript" } },
  throwOnError: true,
});
const read = await getSession({ path: { id: created.data.id }, throwOnError: true });
const listed = await listSessions({
  query: { created_after: AFTER, metadata: { order: "typescript" } },
  throwOnError: true,
});
const event = await getEvent({ path: { id: EVENT }, throwOnError: true });
const missing = await getSession({ path: { id: MISSING } });

console.log(
  JSON.stringify({
    created: created.data.id,
    expires_at: read.data.expires_at,
    status: read.data.status,
    order: read.data.metadata.order,
    listed: listed.data.data.map(({ id }) => id),
    event: event.data.type,
    refused: missing.error?.type,
  }),
);
