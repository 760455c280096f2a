import { Horizon, StrKey } from "@stellar/stellar-sdk";

/**
 * The server as each account asks it: from an address of its own, as customers all over the world do. Asked from one
 * machine, they would share its rate limit, and take it from the service that they pay.
 */
export class CustomerServers {
  readonly #servers = new Map<string, Horizon.Server>();

  constructor(readonly horizonUrl: string) {}

  of(account: string): Horizon.Server {
    const known = this.#servers.get(account);
    if (known !== undefined) return known;
    const headers = { "X-Forwarded-For": addressOf(account) };
    const server = new Horizon.Server(this.horizonUrl, { allowHttp: true, headers });
    this.#servers.set(account, server);
    return server;
  }
}

/** An address of this machine that nobody listens on: 127.1.0.0 and above, never 127.0.0.1. */
function addressOf(account: string): string {
  const [a = 0, b = 0, c = 0] = StrKey.decodeEd25519PublicKey(account);
  return `127.${1 + (a % 254)}.${b}.${c}`;
}
