import { readFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** Who asks, with every request: a server's operator can tell us apart, and the SDKs send the same two names. */
export const CLIENT_IDENTITY: Readonly<Record<string, string>> = {
  "User-Agent": `paidonce/${version}`,
  "X-App-Name": "paidonce",
  "X-App-Version": version,
};
