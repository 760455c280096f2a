import type { IncomingMessage } from "node:http";
import ipaddr from "ipaddr.js";
import type { Context, Next } from "koa";

/** The proxies in front whose word is taken: so many in a row, or those in these networks (CIDR). */
export type TrustedProxies = number | readonly string[];

/**
 * Makes `context.ip` the address of whoever asks. What stands in `X-Forwarded-For` before the first proxy of ours was
 * written by the caller, and is no address: each proxy adds what it has seen at the right end, so it is read from there.
 */
export function clientAddress(trusted: TrustedProxies) {
  return (context: Context, next: Next): Promise<void> => {
    context.request.ip = clientAddressOf(context.req, trusted);
    return next();
  };
}

function clientAddressOf(request: IncomingMessage, trusted: TrustedProxies): string {
  const peer = plainAddress(request.socket.remoteAddress ?? "") ?? "";
  if (trusted === 0) return peer;
  const forwarded = [request.headers["x-forwarded-for"] ?? []].flat().join(",");
  const said = forwarded === "" ? [] : forwarded.split(",").reverse();
  let address = peer;
  for (const [hop, text] of said.entries()) {
    if (typeof trusted === "number" ? hop >= trusted : !isIn(address, trusted)) break;
    const next = plainAddress(text.trim());
    // No proxy of ours writes this: whoever it stands for, the proxy itself is who we know.
    if (next === null) break;
    address = next;
  }
  return address;
}

/**
 * What limits count by. An address of IPv6 costs nothing: whoever has one has 2^64 of them, all in one /64.
 * @param address as `context.ip`
 */
export function countedAs(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  const parts = ipaddr.IPv6.parse(address).parts.slice(0, 4);
  return `${parts.map((part) => part.toString(16)).join(":")}::/64`;
}

/** @returns null for what is no address; some proxies write its port beside it */
function plainAddress(text: string): string | null {
  const [, bracketed, dotted] = /^\[([^\]]*)\](?::\d+)?$|^(\d+(?:\.\d+){3}):\d+$/.exec(text) ?? [];
  const bare = (bracketed ?? dotted ?? text).replace(/%.*$/, "");
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return null;
  // An IPv4 address in IPv6's clothes (::ffff:…) is the same caller as without.
  return ipaddr.process(bare).toString();
}

function isIn(address: string, networks: readonly string[]): boolean {
  if (address === "") return false;
  const parsed = ipaddr.parse(address);
  return networks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}
