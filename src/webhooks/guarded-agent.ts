import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { Resolver } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector } from "undici";
import { hostOf, isPublicAddress, type UrlPolicy } from "./public-address.js";

const CONNECT_TIMEOUT_MS = 10_000;

/** Of one answer, interim ones too. A receiver that sends more is cut off. */
const MAX_HEADER_BYTES = 16_384;

/** A connection was refused because of where it would have gone. */
export class ForbiddenAddressError extends Error {
  override readonly name = "ForbiddenAddressError";

  constructor() {
    // Without the address: the merchant reads this, and would learn what names inside our network stand for.
    super("the host leads to an address that webhooks may not go to");
  }
}

/**
 * The HTTP agent of webhooks. The address is checked inside the look-up that the connection itself makes: the very
 * one that is connected to, so that a name can't change its answer between check and connect.
 *
 * @param resolve another resolver, for tests; by default DNS, or all that this machine knows where private
 *   addresses are allowed
 */
export function guardedAgent(
  policy: UrlPolicy,
  resolve: LookupFunction = policy.allowPrivate ? systemLookup : networkLookup(),
): Agent {
  const lookup = policy.allowPrivate ? resolve : checked(resolve);
  const connect = buildConnector({ lookup, timeout: CONNECT_TIMEOUT_MS });
  return new Agent({
    maxHeaderSize: MAX_HEADER_BYTES,
    connect: (options, callback) => {
      const host = hostOf(options.hostname);
      // An address in the URL is never looked up.
      const isForbidden = isIP(host) > 0 && !policy.allowPrivate && !isPublicAddress(host);
      if (isForbidden) callback(new ForbiddenAddressError(), null);
      else connect(options, callback);
    },
  });
}

/** One bad address refuses the name: which of several would be tried is not ours to bet on. */
function checked(resolve: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, options, (error, found, family) => {
      const addresses = error ? [] : addressesOf(found);
      if (addresses.every(isPublicAddress)) callback(error, found, family);
      else callback(new ForbiddenAddressError(), []);
    });
  };
}

function addressesOf(found: string | LookupAddress[]): string[] {
  return typeof found === "string" ? [found] : found.map(({ address }) => address);
}

/** Per question and try. A name that nobody answers for costs its own delivery some seconds, and nobody else's. */
const ANSWER_WITHIN_MS = 2_000;
const TRIES = 2;

/**
 * Looks names up by DNS alone. The system's own look-up would do, but for its four threads, which all of a process
 * share: a few dead names would hold up every endpoint. It would also read /etc/hosts, whose names are ours.
 *
 * @param servers `address:port` each, for tests; those of the system by default
 */
export function networkLookup(servers?: readonly string[]): LookupFunction {
  const resolver = new Resolver({ timeout: ANSWER_WITHIN_MS, tries: TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  return (hostname, options, callback) => {
    void resolveAll(resolver, hostname).then((addresses) => {
      const [first] = addresses;
      if (first === undefined) callback(notFound(hostname), "");
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

async function resolveAll(
  resolver: Resolver,
  hostname: string,
): Promise<{ address: string; family: number }[]> {
  const [four, six] = await Promise.all([
    // A name that has only one kind of address fails for the other.
    resolver.resolve4(hostname).catch(() => []),
    resolver.resolve6(hostname).catch(() => []),
  ]);
  return [
    ...four.map((address) => ({ address, family: 4 })),
    ...six.map((address) => ({ address, family: 6 })),
  ];
}

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`the name ${hostname} has no address`), { code: "ENOTFOUND" });
}
