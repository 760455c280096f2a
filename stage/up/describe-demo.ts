export type Demo = {
  /** The merchant's receiving account. */
  readonly account: string;
  readonly apiKey: string;
  readonly adminKey: string;
  /** URLs of what was started. */
  readonly api: string;
  readonly network: string;
  readonly stripe: string;
  readonly consumers: number;
};

/** What `up` prints once everything runs: where it is, its keys, and requests to paste. */
export function describeDemo({ account, apiKey, adminKey, api, network, stripe, consumers }: Demo): string {
  return [
    "",
    "  paidonce is up: sandbox customers pay sessions, and each payment is one line below.",
    "",
    `  processes   sandbox, stripe-sandbox, ingest, ${consumers} × consume, work, api, customers`,
    `  merchant    ${account}`,
    `  API         ${api}, described at ${api}/docs`,
    `  API key     ${apiKey}`,
    `  admin key   ${adminKey}`,
    `  operators   ${api}/ops`,
    `  network     ${network}`,
    `  Stripe      ${stripe}, a sandbox too`,
    "  status      paidonce status, in another terminal in this folder (./dev status)",
    "  stop        Ctrl-C",
    "",
    "  Open a session of your own, and pay it as a customer would:",
    "",
    `  curl -s ${api}/v1/checkout/sessions -u ${apiKey}: -H 'Idempotency-Key: order-1' -H 'Content-Type: application/json' -d '{"amount":"12.50","asset":"native"}'`,
    "  ./dev pay ID",
    "",
    "  Charge a card of the Stripe sandbox:",
    "",
    `  curl -s ${api}/v1/charges -u ${apiKey}: -H 'Idempotency-Key: charge-1' -H 'Content-Type: application/json' -d '{"amount":"12.50","currency":"EUR","reference":"order-1","provider":"stripe","payload":{"payment_method":"pm_card_visa"}}'`,
    "",
    `  Sign a payment, to hand it in for a charge (docs/charges.md):  ./dev sign --to ${account} --amount 12.50`,
    "",
  ].join("\n");
}
