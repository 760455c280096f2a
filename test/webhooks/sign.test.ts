import { createHmac } from "node:crypto";
import { expect } from "chai";
import { Webhook } from "standardwebhooks";
import { signedHeaders } from "../../src/webhooks/secrets.js";

const ID = "0190a0b0-0000-7000-8000-000000000001";
const [OLD, NEW] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const text = (secret: Buffer) => `whsec_${secret.toString("base64")}`;
const BODY = '{"type":"payment.confirmed"}';

describe("the signature of a webhook", () => {
  it("is what the standard says, of the id, the whole second and the body", () => {
    const headers = signedHeaders(ID, new Date("2026-05-04T12:00:00.999Z"), BODY, [text(NEW)]);
    const mac = createHmac("sha256", NEW).update(`${ID}.1777896000.${BODY}`).digest("base64");
    expect(headers).to.deep.equal({
      "webhook-id": ID,
      "webhook-timestamp": "1777896000",
      "webhook-signature": `v1,${mac}`,
    });
  });

  it("is verified by whoever knows one of the secrets, and by nobody else", () => {
    const headers = signedHeaders(ID, new Date(), BODY, [text(NEW), text(OLD)]);
    for (const secret of [OLD, NEW]) {
      expect(new Webhook(text(secret)).verify(BODY, headers)).to.deep.equal(JSON.parse(BODY));
    }
    expect(() => new Webhook(text(Buffer.alloc(32, 3))).verify(BODY, headers)).to.throw(/signature/i);
    expect(() => new Webhook(text(NEW)).verify(`${BODY} `, headers)).to.throw(/signature/i);
  });
});
