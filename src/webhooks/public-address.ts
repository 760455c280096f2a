import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/**
 * Public by its range, and served to machines in a cloud by their own host: Azure's WireServer, which hands out
 * certificates and settings. All other metadata services live in ranges that are refused as they are.
 */
const METADATA = new Set(["168.63.129.16"]);

/** What the IPv6 registries give out. Whatever is outside is local, special, or another way to write IPv4. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Whether an address is out on the internet: not loopback, link-local, private, shared (CGNAT), multicast, reserved
 * or metadata, and no IPv6 form that carries an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64).
 * @param address as a resolver or a URL gives it, in its usual form; anything that is no address is not public
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast" || METADATA.has(parsed.toString())) return false;
  return parsed instanceof ipaddr.IPv6 ? parsed.match(GLOBAL_UNICAST) : true;
}

/** Where webhooks may go. */
export type UrlPolicy = {
  /** Development: private addresses and plain http too. */
  readonly allowPrivate: boolean;
};

const MAX_LENGTH = 2_048;

/**
 * The fault of a URL as a webhook's, as far as the URL itself can tell. The addresses of its name are checked on each
 * connection, by `guardedAgent`.
 * @returns words for the merchant, or null when it is fine
 */
export function endpointUrlProblem(text: string, { allowPrivate }: UrlPolicy): string | null {
  if (!URL.canParse(text)) return "is not a URL";
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  // The parser writes hosts such as 0x7f.1 or 2130706433 as the addresses that they are.
  const url = new URL(text);
  const isSecure = url.protocol === "https:";
  if (!isSecure && url.protocol !== "http:") return "must start with https://";
  if (!isSecure && !allowPrivate) return "must start with https://";
  if (url.username !== "" || url.password !== "") return "must not hold a user name or password";
  if (allowPrivate) return null;
  const host = hostOf(url.hostname);
  const isLocal =
    isIP(host) > 0 ? !isPublicAddress(host) : /^(?:.+\.)?(?:localhost|local|internal)\.?$/.test(host);
  return isLocal ? "must lead to a public address" : null;
}

/** The host as an address, where it is one: IPv6 without its brackets. */
export function hostOf(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
