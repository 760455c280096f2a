/**
 * A merchant's server in a process of its own: answers 204 and keeps when each event came first, by the monotonic clock,
 * which all processes of a machine share. Tells its URL when it listens, and what came when it is asked.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export type Arrivals = readonly (readonly [eventId: string, at: string])[];

const arrivals = new Map<string, string>();

const server = createServer((request, response) => {
  const at = process.hrtime.bigint().toString();
  const id = String(request.headers["webhook-id"]);
  if (!arrivals.has(id)) arrivals.set(id, at);
  request.resume().once("end", () => response.writeHead(204).end());
});
// Node's five seconds would close a pooled connection just as a request is sent on it.
server.keepAliveTimeout = 65_000;
server.listen(0, "127.0.0.1", () => {
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`);
});
process.on("message", () => process.send?.([...arrivals]));
process.once("disconnect", () => process.exit(0));
