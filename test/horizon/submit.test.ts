import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { HorizonClient } from "../../src/horizon/client.js";
import { type SubmitAnswer, submitTransaction } from "../../src/horizon/transactions.js";
import type { TransactionHash } from "../../src/stellar/credit.js";
import { type Answer, json, problem, ScriptedServer } from "./scripted-server.js";

const HASH = "a".repeat(64) as TransactionHash;
const OUTER = "b".repeat(64) as TransactionHash;
const ENVELOPE = "AAAA+/==";

/** TransactionResult of 100 stroops: txBAD_SEQ (-5), then no extension (Stellar-transaction.x). */
const BAD_SEQ = Buffer.from("0000000000000064fffffffb00000000", "hex").toString("base64");

describe("sending a signed transaction", () => {
  const { signal } = new AbortController();
  let server: ScriptedServer | undefined;

  afterEach(async () => {
    await server?.stop();
    server = undefined;
  });

  const submit = async (...answers: Answer[]): Promise<SubmitAnswer> => {
    await server?.stop();
    server = await ScriptedServer.answering(...answers);
    const client = new HorizonClient({ url: server.url, timeoutMs: 300 });
    return await submitTransaction(client, { envelope: ENVELOPE, hash: HASH, outerHash: OUTER }, signal);
  };
  const paths = () => (server?.requests ?? []).map(({ pathname }) => pathname);
  const status = (tx_status: string, code: number, more = {}) =>
    json({ tx_status, hash: HASH, ...more }, {}, code);

  it("posts the envelope as it came, as a form", async () => {
    const seen: { method: string | undefined; type: string | undefined; body: string }[] = [];
    const answer: Answer = (response, request: IncomingMessage) => {
      let body = "";
      request.on("data", (chunk) => {
        body += String(chunk);
      });
      request.on("end", () => {
        seen.push({ method: request.method, type: request.headers["content-type"], body });
        status("PENDING", 201)(response, request);
      });
    };
    await submit(answer);
    assert.deepEqual(seen, [
      {
        method: "POST",
        type: "application/x-www-form-urlencoded;charset=UTF-8",
        body: "tx=AAAA%2B%2F%3D%3D",
      },
    ]);
    assert.deepEqual(paths(), ["/transactions_async"]);
  });

  it("reads each status of the asynchronous answer", async () => {
    assert.deepEqual(await submit(status("PENDING", 201)), { kind: "pending" });
    assert.deepEqual(await submit(status("DUPLICATE", 409)), { kind: "duplicate" });
    assert.deepEqual(await submit(status("TRY_AGAIN_LATER", 503)), { kind: "try_again_later" });
    const refused = status("ERROR", 400, { error_result_xdr: BAD_SEQ });
    assert.deepEqual(await submit(refused), { kind: "refused", resultCode: "tx_bad_seq" });
    assert.deepEqual(await submit(status("ERROR", 400)), { kind: "refused", resultCode: "unreadable" });
    const outer = json({ tx_status: "PENDING", hash: OUTER }, {}, 201);
    assert.deepEqual(await submit(outer), { kind: "pending" });
  });

  it("believes nothing that is about another transaction, or says something new", async () => {
    const other = json({ tx_status: "PENDING", hash: "c".repeat(64) }, {}, 201);
    assert.equal((await submit(other)).kind, "no_answer");
    assert.equal((await submit(status("DONE", 200))).kind, "no_answer");
    assert.equal((await submit(json("<html>", {}, 200))).kind, "no_answer");
  });

  it("tells what was said before anything was passed on from what may have been", async () => {
    const limited = problem(429, "rate_limit_exceeded", { "Retry-After": "7" });
    const answer = await submit(limited);
    assert.deepEqual({ ...answer, detail: "" }, { kind: "not_taken", detail: "", retryAfterMs: 7_000 });
    assert.equal((await submit(problem(403, "transaction_submission_disabled"))).kind, "not_taken");
    assert.equal((await submit(problem(503, "stale_history"))).kind, "not_taken");
    for (const [code, type] of [
      [500, "transaction_submission_failed"],
      [500, "transaction_submission_exception"],
      [500, "transaction_submission_invalid_status"],
      [503, "service_unavailable"],
      [504, "timeout"],
    ] as const) {
      assert.equal((await submit(problem(code, type))).kind, "no_answer", type);
    }
    const malformed = await submit(problem(400, "transaction_malformed"));
    assert.deepEqual(malformed, { kind: "refused", resultCode: "transaction_malformed" });
  });

  it("has no answer where the connection breaks, nobody answers in time, or it is sent elsewhere", async () => {
    assert.equal((await submit((response) => response.destroy())).kind, "no_answer");
    assert.equal((await submit(() => {})).kind, "no_answer");
    const elsewhere: Answer = (response) => response.writeHead(302, { location: "/transactions" }).end();
    assert.equal((await submit(elsewhere, json({ hash: HASH }))).kind, "no_answer");
    assert.deepEqual(paths(), ["/transactions_async"]);
    const gone = new HorizonClient({ url: "http://127.0.0.1:9" });
    const answer = await submitTransaction(gone, { envelope: "AAAA", hash: HASH, outerHash: null }, signal);
    assert.equal(answer.kind, "no_answer");
  });

  it("goes to /transactions where the server has nothing else, and reads its answers", async () => {
    for (const missing of [
      problem(404, "not_found"),
      json("no such page", {}, 404),
      problem(405, "method_not_allowed"),
      json("", {}, 501),
      problem(400, "not_implemented"),
    ]) {
      assert.deepEqual(await submit(missing, json({ hash: HASH })), { kind: "applied" });
      assert.deepEqual(paths(), ["/transactions_async", "/transactions"]);
    }
    const none = problem(404, "not_found");
    const failed = json(
      {
        type: "https://stellar.org/horizon-errors/transaction_failed",
        status: 400,
        extras: { result_xdr: BAD_SEQ, result_codes: { transaction: "tx_bad_seq" } },
      },
      {},
      400,
    );
    assert.deepEqual(await submit(none, failed), { kind: "refused", resultCode: "tx_bad_seq" });
    assert.equal((await submit(none, problem(504, "transaction_submission_timeout"))).kind, "no_answer");
    assert.equal((await submit(none, json({}))).kind, "no_answer");
    assert.equal((await submit(none, none)).kind, "no_answer");
  });

  it("throws the reason of whoever aborts", async () => {
    const reason = new Error("stop");
    const controller = new AbortController();
    server = await ScriptedServer.answering(() => controller.abort(reason));
    const client = new HorizonClient({ url: server.url });
    const sent = submitTransaction(
      client,
      { envelope: "AAAA", hash: HASH, outerHash: null },
      controller.signal,
    );
    await assert.rejects(sent, reason);
  });
});
