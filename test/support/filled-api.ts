import { settle } from "../../src/settlement/settle.js";
import { creditKeyText } from "../../src/stellar/credit.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { type RedisServer, startRedis } from "../../stage/machine/redis.js";
import { Stage } from "../sandbox/stage.js";
import { TEST_ACCEPTORS } from "./acceptor.js";
import { aMerchant, type Json, startApi, type TestApi } from "./api.js";
import { createTestDatabase, type TestDatabase } from "./database.js";
import { creditOf, receivingAccount } from "./merchants.js";

/**
 * A running API whose database holds one of each thing, with a network and a Redis of its own: for whoever asks it by its
 * description, and would get no further than "not found" where nothing is.
 */
export class FilledApi implements AsyncDisposable {
  /** Ids and other values of what is there, by what they name. */
  readonly known: Readonly<Record<string, string>>;

  private constructor(
    readonly api: TestApi,
    readonly database: TestDatabase,
    private readonly redisServer: RedisServer,
    private readonly stage: Stage,
    /** The merchant's, to whom all of it belongs. */
    readonly key: string,
    /** Paid, and paid too little before. */
    readonly session: Json,
    known: Record<string, string>,
  ) {
    this.known = known;
  }

  static async start(): Promise<FilledApi> {
    const [database, redisServer, stage] = await Promise.all([
      createTestDatabase(),
      startRedis({ appendonly: false }),
      Stage.open(),
    ]);
    const api = await startApi(database.dataSource, redisServer.url, {
      horizonUrl: stage.sandbox.url,
      acceptors: TEST_ACCEPTORS,
    });
    const { merchantId, key } = await aMerchant(api);
    const account = await receivingAccount(database.dataSource, merchantId);
    const post = async (path: string, body: object): Promise<Json> => {
      const answer = await api.ask("POST", path, { key, body });
      if (answer.status >= 300) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    };
    const session = await post("/v1/checkout/sessions", {
      amount: "1",
      asset: "native",
      metadata: { order: "1" },
    });
    const [short, whole] = [creditOf(session, { amount: toStroops(1n) }), creditOf(session)];
    await settle(database.dataSource, [short, whole]);
    const charge = await post("/v1/charges", {
      amount: "1",
      currency: "EUR",
      reference: "order-1000",
      provider: "test",
      payload: { token: "t" },
    });
    const hook = await post("/v1/webhooks/endpoints", { url: "https://shop.example.com/" });
    const { body: events } = await api.ask("GET", "/v1/events", { key });
    return new FilledApi(api, database, redisServer, stage, key, session, {
      merchant: merchantId,
      account,
      session: session.id,
      exception: creditKeyText(short),
      payment: creditKeyText(whole),
      endpoint: hook.id,
      charge: charge.id,
      provider: "test",
      event: events.data[0].id,
      cursor: events.next_cursor,
      asset: "native",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop();
    await this.stage[Symbol.asyncDispose]();
    await this.redisServer.stop();
    await this.database.close();
  }
}
