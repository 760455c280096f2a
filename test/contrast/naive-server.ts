/**
 * The way it is done in most tutorials, and in many shops: decode, call the provider, save, answer 201. Written as
 * well as that way allows: time-outs, error answers, one INSERT that either holds or doesn't. What it lacks is what
 * this project is about.
 */
import Router from "@koa/router";
import parse from "co-body";
import Koa from "koa";
import pg from "pg";
import Stripe from "stripe";
import { TIMES } from "./plan.js";

const { DATABASE_URL, STRIPE_API_URL = "", STRIPE_API_KEY = "", PORT } = process.env;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
const provider = new URL(STRIPE_API_URL);
const stripe = new Stripe(STRIPE_API_KEY, {
  host: provider.hostname,
  port: provider.port,
  protocol: "http",
  timeout: TIMES.providerTimeout,
  maxNetworkRetries: 0,
  telemetry: false,
});

const router = new Router();

router.post("/charges", async (context) => {
  const { reference, cents } = await parse.json(context.req);
  const intent = await stripe.paymentIntents.create({
    amount: cents,
    currency: "eur",
    payment_method: "pm_card_visa",
    automatic_payment_methods: { enabled: true, allow_redirects: "never" },
    confirm: true,
    off_session: true,
    metadata: { reference },
  });
  if (intent.status !== "succeeded") context.throw(402, "the payment was not successful");
  const [charge] = (
    await pool.query(
      "INSERT INTO naive_charges (reference, cents, provider_id) VALUES ($1, $2, $3) RETURNING id",
      [reference, cents, intent.id],
    )
  ).rows;
  context.status = 201;
  context.body = { id: charge.id, status: "succeeded" };
});

const koa = new Koa();
// Koa would print each failure of the provider, and failures are what this is started for.
koa.silent = true;
koa.use(async (context, next) => {
  try {
    await next();
  } catch (error) {
    context.status = error instanceof Stripe.errors.StripeError ? 502 : 500;
    context.body = { error: "the payment failed, please try again" };
  }
});
koa.use(router.routes());
koa.listen(Number(PORT), "127.0.0.1", () => process.send?.("ready"));
// Whoever started it is gone: so is the reason to run.
process.on("disconnect", () => process.exit());
