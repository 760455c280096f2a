import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { v7 as uuidv7 } from "uuid";
import { type AddingProxy, addingProxy } from "../support/adding-proxy.js";
import type { Json } from "../support/api.js";
import { FilledApi } from "../support/filled-api.js";
import { NotHereError } from "../support/foreign-tools.js";
import { itAtLength } from "../support/long.js";
import { GENERATORS, type Generator } from "./generators.js";

/** Bringing and building take their time on a busy machine; each command has a bound of its own, and says so. */
const TIMEOUT_MS = 1_800_000;

/** Half an hour before UTC and half an hour after: no zone that a program would choose by itself. */
const AFTER_OFFSET = "-00:30";
const EXPIRES_OFFSET = "+05:30";

/** Asks for each client: make a session, read it, list, read an event, read what is not there. */
const ANSWERS = 5;

describe("a client that is generated from the description", function () {
  this.timeout(TIMEOUT_MS);
  let filled: FilledApi;
  let proxy: AddingProxy;
  let description: Json;
  const folders: string[] = [];

  before(async () => {
    filled = await FilledApi.start();
    proxy = await addingProxy(filled.api.url);
    description = (await filled.api.ask("GET", "/v1/openapi.json")).body;
  });
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });
  after(async () => {
    await proxy.stop();
    await filled[Symbol.asyncDispose]();
  });

  async function newFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "paidonce-client-"));
    folders.push(folder);
    return folder;
  }

  /** What the program is given, and what it must see. */
  async function uses({ order, use }: Generator, folder: string): Promise<void> {
    const now = Math.floor(Date.now() / 1000) * 1000;
    const expires = now + 3_600_000;
    const before = proxy.changed();
    const wrote = await use(folder, {
      API_URL: proxy.url,
      API_KEY: filled.key,
      EVENT: filled.known.event ?? "",
      MISSING: uuidv7(),
      AFTER: inOffset(now - 3_600_000, AFTER_OFFSET),
      EXPIRES: inOffset(expires, EXPIRES_OFFSET),
    });
    const saw = JSON.parse(wrote);
    expect(proxy.changed() - before, "answers with a field that is new").to.equal(ANSWERS);
    const { body: session } = await filled.api.ask("GET", `/v1/checkout/sessions/${saw.created}`, {
      key: filled.key,
    });
    const { body: event } = await filled.api.ask("GET", `/v1/events/${filled.known.event}`, {
      key: filled.key,
    });
    expect([session.metadata.order, Date.parse(session.expires_at)]).to.deep.equal([order, expires]);
    expect({ ...saw, expires_at: Date.parse(saw.expires_at), listed: null }).to.deep.equal({
      created: session.id,
      expires_at: expires,
      status: "pending",
      order,
      listed: null,
      event: event.type,
      refused: "https://paidonce.dev/problems/not-found",
    });
    expect(saw.listed).to.include(session.id);
  }

  for (const generator of GENERATORS) {
    const { title, isQuick, bring, generate } = generator;

    const test = isQuick ? it : itAtLength;
    test(`takes answers with fields that are new, and sends times with an offset: ${title}`, async function () {
      try {
        await bring();
      } catch (error) {
        if (!(error instanceof NotHereError) || process.env.CI === "true") throw error;
        console.log(`    skipped: ${error.message}`);
        return this.skip();
      }
      const folder = await newFolder();
      await generate(folder, description);
      await uses(generator, folder);
    });
  }
});

/** RFC 3339 in this offset, which is a time that every client of ours may send. */
function inOffset(at: number, offset: string): string {
  const minutes = Number(`${offset[0]}1`) * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4)));
  return new Date(at + minutes * 60_000).toISOString().replace(".000Z", offset);
}
