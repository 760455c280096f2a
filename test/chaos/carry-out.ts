import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { type Asset, NATIVE } from "../../src/stellar/asset.js";
import { hashMemo, type MemoKey, muxedId, textMemo } from "../../src/stellar/memo.js";
import { formatStroops, type Stroops } from "../../src/stellar/stroops.js";
import { cancelByApi, createByApi } from "./api-client.js";
import type { AskedSession } from "./ledger.js";
import type { Load, Payment } from "./load.js";
import type { Order, OrderKind } from "./orders.js";
import { destinationOf, lumens, lumensByPath, MORE_THAN_ANYBODY_HAS } from "./payer.js";
import type { Shop } from "./shop.js";
import { submitFor } from "./submitted.js";
import type { World } from "./world.js";

/** Open for longer than any run. */
const LONG_MS = 86_400_000;

/** Over before the customer pays. */
const SHORT_MS = 500;

/** After this a ledger closes later than a session of `SHORT_MS`. */
const TOO_LATE_MS = 2_500;

let muxedIds = BigInt(Date.now()) << 12n;

/**
 * Does what an order says: asks for its session, and pays it in its own way. It counts as carried out when its
 * payments were handed over, which is later than this resolves where they have transactions of their own; never, when
 * the load ended first.
 */
export async function carryOut(world: World, load: Load, order: Order): Promise<void> {
  const shop = world.street.shops[order.shop];
  if (shop === undefined) throw new Error(`no shop ${order.shop}`);
  const { amount } = order;
  const pay = (session: AskedSession, stroops: bigint, more: Partial<Payment> = {}) =>
    load.pay({ ...paymentOf(session), amount: stroops, ...more });
  const open = (memoKey: MemoKey, asset: Asset = NATIVE, lifeMs = LONG_MS) =>
    openSession(world, load, shop, { memoKey, asset, amount, lifeMs, kind: order.kind });
  const [, issuer = ""] = world.street.usdc.split(":");
  const inUsdc = { from: issuer, asset: world.street.usdc };

  switch (order.kind) {
    case "unknown-memo":
      load.pay({ to: shop.account, ...text(uniqueText()), amount });
      world.ledger.carriedOut(order.kind);
      return;
    case "no-memo":
      load.pay({ to: shop.account, memoKey: null, amount });
      world.ledger.carriedOut(order.kind);
      return;
    case "api":
    case "cancelled":
      // Apart, since it may have to wait for the API to be back.
      load.aside(byApi(world, load, shop, order));
      return;
    case "two-in-one":
    case "contract":
      return twoAtOnce(world, load, shop, order);
    default:
  }

  const session = await open(
    order.kind === "hash-memo"
      ? randomHash()
      : order.kind === "muxed"
        ? nextMuxed()
        : textMemo(Buffer.from(uniqueText())),
    order.kind === "usdc" ? world.street.usdc : NATIVE,
    order.kind === "expired" || order.kind === "never-paid" ? SHORT_MS : LONG_MS,
  );
  if (session === null) return;
  const destination = destinationOf(session.account, session.memoKey);
  const decimal = formatStroops(amount as Stroops);
  switch (order.kind) {
    case "good":
    case "muxed":
      pay(session, amount);
      break;
    case "over":
      pay(session, amount + 1n);
      break;
    case "under":
      pay(session, amount - 1n);
      break;
    case "under-then-paid":
      pay(session, amount - 1n);
      load.later(1_500, () => pay(session, amount));
      break;
    case "duplicate":
      // At the same instant, and once more when it was settled long ago.
      pay(session, amount);
      pay(session, amount);
      if (order.number % 2 === 0) load.later(3_000, () => pay(session, amount));
      break;
    case "wrong-asset":
      pay(session, amount, inUsdc);
      break;
    case "usdc":
      pay(session, amount, inUsdc);
      break;
    case "expired":
      load.later(TOO_LATE_MS, () => pay(session, amount));
      break;
    case "never-paid":
      break;
    case "path":
      send(world, load, order, [lumensByPath(destination, decimal)], session.memoKey as MemoKey);
      return;
    case "hash-memo":
      send(world, load, order, [lumens(destination, decimal)], session.memoKey as MemoKey);
      return;
    case "submitted":
    case "submitted-failing":
    case "submitted-never":
      submitFor(world, load, session, order, decimal);
      return;
    case "failed":
      // Its first operation would pay; its second fails, and with it the whole.
      send(
        world,
        load,
        order,
        [lumens(destination, decimal), lumens(destination, MORE_THAN_ANYBODY_HAS)],
        session.memoKey as MemoKey,
      );
      return;
  }
  world.ledger.carriedOut(order.kind);
}

/** One transaction, or one call of a contract, that pays two sessions. */
async function twoAtOnce(world: World, load: Load, shop: Shop, order: Order): Promise<void> {
  const { amount } = order;
  const sessions: AskedSession[] = [];
  for (let i = 0; i < 2; i++) {
    const session = await openSession(world, load, shop, {
      memoKey: nextMuxed(),
      asset: NATIVE,
      amount,
      lifeMs: LONG_MS,
      kind: order.kind,
    });
    if (session === null) return;
    sessions.push(session);
  }
  const decimal = formatStroops(amount as Stroops);
  if (order.kind === "two-in-one") {
    send(
      world,
      load,
      order,
      sessions.map(({ account, memoKey }) => lumens(destinationOf(account, memoKey), decimal)),
      null,
    );
    return;
  }
  const from = world.street.customers[order.number % world.street.customers.length]?.publicKey() ?? "";
  const changes = sessions.map(({ account, memoKey }) => ({
    type: "transfer",
    asset: "native",
    amount: decimal,
    from,
    to: account,
    destination_muxed_id: memoKey.slice("muxed:".length),
  }));
  load.aside(
    world.sandbox.inject({ kind: "host_function", changes }).then(({ hash }) => {
      world.ledger.sent(hash, null);
      world.ledger.carriedOut(order.kind);
    }),
  );
}

async function byApi(world: World, load: Load, shop: Shop, order: Order): Promise<void> {
  const session = await createByApi(world, shop, order, load.signal);
  if (session === null) return;
  if (order.kind === "cancelled") {
    session.cancelled = await cancelByApi(world, session, load.signal);
    // Nobody knows whether it was cancelled: nobody pays it.
    if (!session.cancelled) return;
  }
  const operation = lumens(
    destinationOf(session.account, session.memoKey),
    formatStroops(order.amount as Stroops),
  );
  send(world, load, order, [operation], session.memoKey as MemoKey);
}

function send(
  world: World,
  load: Load,
  { kind }: Order,
  ...[operations, memoKey]: Parameters<World["payer"]["send"]>
): void {
  // A fault may be in the way before it is even signed: that one was not carried out.
  const before = async () => {
    world.ledger.carriedOut(kind);
    return true;
  };
  load.aside(world.payer.send(operations, memoKey, { before }));
}

type Wish = {
  readonly memoKey: MemoKey;
  readonly asset: Asset;
  readonly amount: bigint;
  readonly lifeMs: number;
  readonly kind: OrderKind;
};

/** Straight by settlement's own function, again and again while Postgres is away. */
async function openSession(world: World, load: Load, shop: Shop, wish: Wish): Promise<AskedSession | null> {
  const { account, merchantId } = shop;
  let { memoKey } = wish;
  while (!load.signal.aborted) {
    const { asset, amount } = wish;
    const expiresAt = new Date(Date.now() + wish.lifeMs);
    const request = { merchantId, account, memoKey, asset, amount: amount as Stroops, expiresAt };
    try {
      const { id } = await world.release.createSession(world.dataSource.manager, request);
      const session: AskedSession = {
        id,
        account,
        merchantId,
        memoKey,
        asset,
        amount,
        expiresAt: expiresAt.getTime(),
        cancelled: false,
        kind: wish.kind,
      };
      world.ledger.note(session);
      return session;
    } catch {
      // It may be there all the same: with another memo there is nothing in the way.
      memoKey = memoKey.startsWith("muxed:") ? nextMuxed() : textMemo(Buffer.from(uniqueText()));
      await sleep(200);
    }
  }
  return null;
}

/** How the mass pays a session: by what the bundle can carry, a text memo or an `M…` address. */
function paymentOf({ account, memoKey }: AskedSession): Omit<Payment, "amount"> {
  const [kind, value = ""] = memoKey.split(":");
  if (kind === "muxed") return { to: destinationOf(account, memoKey), memoKey: null };
  return { to: account, ...text(Buffer.from(value, "hex").toString()) };
}

function text(memo: string): { memo: string; memoKey: string } {
  return { memo, memoKey: textMemo(Buffer.from(memo)) };
}

function uniqueText(): string {
  return uuidv7().replaceAll("-", "").slice(4);
}

function nextMuxed(): MemoKey {
  return muxedId(String(++muxedIds));
}

function randomHash(): MemoKey {
  return hashMemo("hash", createHash("sha256").update(uuidv7()).digest());
}
