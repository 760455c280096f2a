import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { withUnknownField } from "./unknown-field.js";

export type AddingProxy = {
  readonly url: string;
  /** How many answers it has changed. */
  changed(): number;
  stop(): Promise<void>;
};

/** Stands before an API as a newer version of it would: each object of each JSON answer has a field that is new. */
export async function addingProxy(target: string): Promise<AddingProxy> {
  let changes = 0;
  const server = createServer(async (asked, answer) => {
    const fail = () => answer.destroy();
    try {
      const body = await buffer(asked);
      const passed = request(new URL(asked.url ?? "/", target), {
        method: asked.method ?? "GET",
        headers: { ...asked.headers, "content-length": `${body.length}` },
      });
      passed.on("error", fail).end(body);
      const [response] = (await once(passed, "response")) as [IncomingMessage];
      const { "transfer-encoding": _, ...headers } = response.headers;
      let text: Buffer = await buffer(response);
      if (headers["content-type"]?.includes("json") === true) {
        text = Buffer.from(JSON.stringify(withUnknownField(JSON.parse(text.toString("utf8")))));
        changes++;
      }
      answer.writeHead(response.statusCode ?? 502, { ...headers, "content-length": `${text.length}` });
      answer.end(text);
    } catch {
      fail();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    changed: () => changes,
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
