/** Of this program, as in package.json: a test holds the two together. */
export const VERSION = "0.1.0";

/** Sent with each request to a server that is not ours, so that its operator can tell us from others. */
export const USER_AGENT = `paidonce/${VERSION}`;
