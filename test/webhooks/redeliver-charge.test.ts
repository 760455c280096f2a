import { expect } from "chai";
import { cancelCharge } from "../../src/charges/close-charge.js";
import { numberEvents } from "../../src/outbox/number-events.js";
import { inSerializableTransaction } from "../../src/postgres/serializable.js";
import { redeliverSince } from "../../src/webhooks/deliveries.js";
import { watchAccount } from "../support/books.js";
import { aCharge } from "../support/charges.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";
import { anEndpoint } from "../support/webhooks.js";

describe("events of a charge that are asked for again", () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  it("go in their order to an endpoint that was not there when they were told", async () => {
    const { dataSource } = database;
    const { merchantId } = await watchAccount(dataSource);
    const { id } = await aCharge(dataSource, merchantId);
    await inSerializableTransaction(dataSource, (runner) => cancelCharge(runner, merchantId, id));
    await numberEvents(dataSource);
    const endpoint = await anEndpoint(dataSource, merchantId, "https://shop.example.com/");
    await redeliverSince(dataSource.manager, endpoint, new Date(0));
    const rows = await dataSource.query("SELECT session_id FROM webhook_deliveries ORDER BY position");
    expect(rows).to.deep.equal([{ session_id: id }, { session_id: id }]);
  });
});
