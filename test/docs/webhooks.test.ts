import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { EVENT_TYPES } from "../../src/entities/outbox-event.js";
import {
  chargeCreated,
  chargeFailed,
  chargeSucceeded,
  exceptionRaised,
  paymentConfirmed,
  type ReportedCharge,
  sessionExpired,
  webhookTest,
} from "../../src/outbox/events.js";
import { toStroops } from "../../src/stellar/stroops.js";
import { guardedAgent } from "../../src/webhooks/guarded-agent.js";
import { signedHeaders } from "../../src/webhooks/secrets.js";
import { sendRequest } from "../../src/webhooks/send-request.js";
import { freePort } from "../../stage/machine/free-port.js";
import { aSession, creditFor, newAccount } from "../support/books.js";
import { eventually } from "../support/stream.js";

const PAGE = readFileSync(fileURLToPath(new URL("../../../docs/webhooks.md", import.meta.url)), "utf8");

/** Beside this file, so that it finds the packages that a merchant would install. */
const RECEIVER = fileURLToPath(new URL(`receiver-${process.pid}.mjs`, import.meta.url));

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

const blocks = (language: string) =>
  [...PAGE.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "gs"))].map(([, text = ""]) => text);

const session = aSession({ account: newAccount(), merchantId: "none" });
const charge: ReportedCharge = {
  id: uuidv7() as ReportedCharge["id"],
  reference: "order-1001",
  provider: "stripe",
  providerId: "pi_1",
  amount: toStroops(125_000_000n),
  currency: "EUR",
  asset: null,
};
const confirmed = paymentConfirmed(creditFor(session), session.id, toStroops(0n));

describe("docs/webhooks.md", () => {
  it("explains every type of event", () => {
    for (const type of EVENT_TYPES) expect(PAGE).to.include(`**\`${type}\`**`);
  });

  it("shows bodies with just the fields that are sent, in their order", () => {
    const late = {
      kind: "exception",
      reason: "late",
      sessionId: session.id,
      detail: "too late",
    } as const;
    const events = [
      confirmed,
      sessionExpired(session.id, session.expiresAt),
      exceptionRaised(creditFor(session), late),
      chargeCreated(charge),
      chargeSucceeded(charge),
      chargeFailed(charge, "card_expired", "Your card has expired."),
      webhookTest("none", "unique"),
    ];
    const fieldsOf = (body: string): [type: string, fields: string[], data: string[]] => {
      const { data, ...rest } = JSON.parse(body);
      return [rest.type, Object.keys(rest), Object.keys(data)];
    };
    /** Added where it is written: test/settlement/event-body.test.ts holds it against the outbox. */
    const asked = (type: string): string[] => {
      if (type === "webhook.test") return [];
      return type.startsWith("charge.") ? ["metadata"] : ["amount_asked", "asset_asked", "metadata"];
    };
    const expected = events.map(({ body }) => {
      const [type, fields, data] = fieldsOf(body);
      return [type, fields, [...data, ...asked(type)]];
    });
    expect(blocks("json").map(fieldsOf)).to.deep.equal(expected);
  });

  describe("its receiver", () => {
    let receiver: ChildProcess;
    let lines: string[];
    let url: string;

    before(async () => {
      const [source = ""] = blocks("js");
      await writeFile(RECEIVER, source);
      const port = await freePort();
      url = `http://127.0.0.1:${port}/`;
      lines = [];
      receiver = spawn(process.execPath, [RECEIVER], {
        env: { WEBHOOK_SECRET: SECRET, PORT: String(port) },
        stdio: ["ignore", "pipe", "inherit"],
      });
      if (receiver.stdout === null) throw new Error("no output");
      createInterface(receiver.stdout).on("line", (line) => lines.push(line));
      // There is nothing to wait for but its answer.
      await eventually(async () => (await post("{}", {})).status !== null);
    });
    after(async () => {
      const ended = once(receiver, "exit");
      receiver.kill("SIGKILL");
      await ended;
      await agent.destroy();
      await rm(RECEIVER, { force: true });
    });

    const agent = guardedAgent({ allowPrivate: true });
    const post = (body: string, headers: Record<string, string>) =>
      sendRequest({ url, headers, body }, { dispatcher: agent });
    const signed = (secret = SECRET) => signedHeaders(confirmed.id, new Date(), confirmed.body, [secret]);

    it("takes what is signed, and handles an event once however often it comes", async () => {
      for (let attempt = 0; attempt < 3; attempt++) {
        expect((await post(confirmed.body, signed())).status).to.equal(204);
      }
      await eventually(async () => lines.length > 0);
      expect(lines).to.deep.equal([`ship ${session.id}`]);
    });

    it("refuses what is not: another secret, another body, an old time", async () => {
      const other = `whsec_${Buffer.alloc(32, 8).toString("base64")}`;
      const old = signedHeaders(confirmed.id, new Date(Date.now() - 600_000), confirmed.body, [SECRET]);
      expect((await post(confirmed.body, signed(other))).status).to.equal(401);
      expect((await post(`${confirmed.body} `, signed())).status).to.equal(401);
      expect((await post(confirmed.body, old)).status).to.equal(401);
      expect(
        (await post(confirmed.body, signedHeaders(confirmed.id, new Date(), confirmed.body, [other, SECRET])))
          .status,
      ).to.equal(204);
    });
  });
});
