import { Resolver } from "node:dns/promises";
import type { LookupFunction } from "node:net";

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
    void addressesOf(resolver, hostname).then((addresses) => {
      const [first] = addresses;
      if (first === undefined) callback(notFound(hostname), "");
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

async function addressesOf(
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
