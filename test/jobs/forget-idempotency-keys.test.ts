import { expect } from "chai";
import { forgetIdempotencyKeys } from "../../src/jobs/scheduled-jobs.js";
import { impatient, keepLocked } from "../support/bad-rows.js";
import { createTestDatabase, type TestDatabase } from "../support/database.js";

describe("forgetting idempotency keys", () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.close());

  it("keeps each for the 24 hours that are published, and none for longer, however many there are", async () => {
    await database.dataSource.query(`
      INSERT INTO idempotency_keys (owner, endpoint, key, fingerprint, status, body, created_at)
      SELECT gen_random_uuid(), 'POST /', age || ' ' || n, sha256('1'), 200, '{}', now() - age::interval
      FROM unnest(ARRAY['1 second', '23 hours 59 minutes', '24 hours 1 minute', '3 days']) AS age,
           generate_series(1, 2500) AS n`);
    expect(await forgetIdempotencyKeys(database.dataSource)).to.equal(5_000);
    const left = await database.dataSource.query(
      "SELECT DISTINCT created_at > now() - interval '24 hours' AS young, count(*)::int AS keys FROM idempotency_keys GROUP BY 1",
    );
    expect(left).to.deep.equal([{ young: true, keys: 5_000 }]);
    expect(await forgetIdempotencyKeys(database.dataSource)).to.equal(0);
  });

  it("is not held up by one that somebody keeps locked", async () => {
    await database.dataSource.query(`
      INSERT INTO idempotency_keys (owner, endpoint, key, fingerprint, status, body, created_at)
      SELECT gen_random_uuid(), 'POST /locked', n, sha256('1'), 200, '{}', now() - interval '2 days'
      FROM generate_series(1, 3) AS n`);
    await using dataSource = await impatient(database.url);
    await using _psql = await keepLocked(
      database.url,
      "SELECT FROM idempotency_keys WHERE endpoint = 'POST /locked' AND key = '2' FOR UPDATE",
    );
    expect(await forgetIdempotencyKeys(dataSource)).to.equal(2);
  });
});
