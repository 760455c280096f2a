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
