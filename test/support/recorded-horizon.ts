import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Json } from "../sandbox/stage.js";
import { readFixture } from "./fixtures.js";

export type RecordedHorizon = { readonly url: string; stop(): Promise<void> };

/**
 * Serves what a real network's server answered about an account of test/fixtures/network, page by page.
 * @param change what a server says otherwise, by the last part of its path
 */
export async function startRecordedHorizon(
  name: string,
  account: string,
  change: (kind: string, records: Json[]) => Json[] = (_kind, records) => records,
): Promise<RecordedHorizon> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://recorded");
    const [, , of, kind = "account"] = url.pathname.split("/");
    const isKnown = url.pathname === "/" || of === account;
    const file = url.pathname === "/" ? "root" : `${name}-${kind}`;
    const { body, headers = {} } = readFixture(`network/horizon/${file}.json`);
    response.statusCode = isKnown ? 200 : 404;
    const latest = headers["latest-ledger"];
    if (latest !== undefined) response.setHeader("Latest-Ledger", latest);
    if (body._embedded === undefined) return response.end(JSON.stringify(body));
    const after = BigInt(url.searchParams.get("cursor") ?? 0);
    const records = change(kind, body._embedded.records)
      .filter(({ paging_token: token }: Json) => BigInt(token.split("-")[0]) > after)
      .slice(0, Number(url.searchParams.get("limit")));
    return response.end(JSON.stringify({ _embedded: { records } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
