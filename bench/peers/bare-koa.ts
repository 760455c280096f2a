/**
 * The least that could create a session: one route, one INSERT in autocommit, one connection pool. No keys, no validation, no
 * idempotency, no rate limits. A process of its own: DATABASE_URL, MERCHANT and ACCOUNT come from its environment, and it
 * tells its port when it listens.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "co-body";
import Koa, { type Context } from "koa";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { parseStroops } from "../../src/stellar/stroops.js";

// As many connections as the API has.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });

const INSERT = `
  INSERT INTO checkout_sessions (id, merchant_id, account, memo_key, asset, amount, expires_at, metadata)
  VALUES ($1, $2, $3, $4, $5, $6, now() + interval '30 minutes', $7) RETURNING *`;

const SELECT = "SELECT * FROM checkout_sessions WHERE id = $1";

const koa = new Koa();
koa.use(async (context) => {
  if (context.method === "POST") await create(context);
  else await read(context);
});

async function create(context: Context): Promise<void> {
  const { amount, asset, metadata } = await json(context.req);
  const { rows } = await pool.query(INSERT, [
    uuidv7(),
    process.env.MERCHANT,
    process.env.ACCOUNT,
    `id:${randomBytes(6).readUIntBE(0, 6)}`,
    asset,
    parseStroops(amount).toString(),
    metadata,
  ]);
  context.status = 201;
  context.body = rows[0];
}

async function read(context: Context): Promise<void> {
  const { rows } = await pool.query(SELECT, [context.path.split("/").at(-1)]);
  context.body = rows[0];
}

const server = createServer(koa.callback());
server.listen(0, "127.0.0.1", () => {
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
process.once("disconnect", () => process.exit(0));
