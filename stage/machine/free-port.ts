import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { ServerStartError } from "./errors.js";

/** Others take ports too: between our choice of one and the server's bind, it can be gone. */
const PORT_ATTEMPTS = 5;

/**
 * Launches a server on the port that was asked for, or on free ones until it gets one.
 * @throws what `launch` throws, when its port was not the reason
 */
export async function onAPort<T>(
  asked: number | undefined,
  launch: (port: number) => Promise<T>,
): Promise<{ server: T; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = asked ?? (await freePort());
    try {
      return { server: await launch(port), port };
    } catch (error) {
      const taken = error instanceof ServerStartError && !(await isPortFree(port));
      if (asked !== undefined || !taken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/**
 * `wanted` while nothing listens there, else a free port: what people have pasted somewhere works at the next
 * start too.
 */
export async function portNear(wanted: number): Promise<number> {
  return (await isPortFree(wanted)) ? wanted : await freePort();
}

/** Below what systems give to outgoing connections and to servers that ask for any port: one of them would take it at once. */
const FIRST_PORT = 10_240;
const LAST_PORT = 32_000;

/** A machine on which so many ports in a row are taken has none to spare. */
const GUESSES = 200;

/**
 * A TCP port on 127.0.0.1 that nothing listens on at this moment. Between this answer and its use another
 * process can take it: see {@link onAPort}.
 * @throws Error when none was found
 */
export async function freePort(): Promise<number> {
  for (let guess = 0; guess < GUESSES; guess++) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${LAST_PORT} on 127.0.0.1`);
}

function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
