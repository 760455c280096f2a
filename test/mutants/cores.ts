/**
 * The pure cores: what decides about money by its arguments alone. Every fault that StrykerJS can plant in them is
 * planted, and the tests of the same area, none of which needs a server, must find nearly all.
 */
export type Core = {
  /** By this name it is chosen: `./dev mutate cores stellar`. */
  readonly name: string;
  readonly sources: readonly string[];
  /** Of its own area: that a test of another one fails somewhere far away does not count. */
  readonly tests: readonly string[];
};

export const CORES: readonly Core[] = [
  {
    name: "stellar",
    sources: [
      "src/stellar/account.ts",
      "src/stellar/asset.ts",
      "src/stellar/credit.ts",
      "src/stellar/memo.ts",
      "src/stellar/operation-id.ts",
      "src/stellar/payable.ts",
      "src/stellar/preview.ts",
      "src/stellar/reference.ts",
      "src/stellar/stroops.ts",
      "src/stellar/strkey.ts",
    ],
    tests: [
      "test/stellar/account.test.ts",
      "test/stellar/asset.test.ts",
      "test/stellar/credit.test.ts",
      "test/stellar/memo.test.ts",
      "test/stellar/operation-id.test.ts",
      "test/stellar/payable.test.ts",
      "test/stellar/preview.test.ts",
      "test/stellar/reference.test.ts",
      "test/stellar/stroops.test.ts",
      "test/stellar/strkey.test.ts",
    ],
  },
  {
    name: "decide",
    sources: ["src/settlement/decide.ts", "src/outbox/events.ts"],
    tests: [
      "test/settlement/decide.test.ts",
      "test/settlement/anomaly.test.ts",
      "test/settlement/event-id.test.ts",
    ],
  },
  {
    name: "decode",
    sources: [
      "src/horizon/decode.ts",
      "src/horizon/decode-page.ts",
      "src/horizon/fields.ts",
      "src/horizon/moves.ts",
    ],
    tests: [
      "test/horizon/decode.test.ts",
      "test/horizon/decode-page.test.ts",
      "test/horizon/fixtures.test.ts",
      "test/horizon/host-function.test.ts",
      "test/horizon/merge.test.ts",
      "test/horizon/record-text.test.ts",
    ],
  },
  {
    name: "judges",
    sources: [
      "src/charges/judge-attempt.ts",
      "src/submission/judge-transaction.ts",
      "src/horizon/reach.ts",
      "src/horizon/result-code.ts",
    ],
    tests: [
      "test/charges/judge-attempt.test.ts",
      "test/charges/schedule.test.ts",
      "test/horizon/history-hole.test.ts",
      "test/horizon/reach.test.ts",
      "test/horizon/result-code.test.ts",
      "test/submission/judge-transaction.test.ts",
      "test/submission/submit-rules.test.ts",
    ],
  },
  {
    name: "schedules",
    sources: ["src/backoff.ts", "src/webhooks/retry-schedule.ts"],
    tests: ["test/horizon/backoff.test.ts", "test/webhooks/retry-schedule.test.ts"],
  },
  {
    name: "signatures",
    sources: [
      "src/stream/entry-mac.ts",
      "src/providers/stripe/read-event.ts",
      "src/submission/verify-signatures.ts",
      "src/webhooks/secrets.ts",
    ],
    tests: [
      "test/consumers/entry-mac.test.ts",
      "test/providers/stripe-event.test.ts",
      "test/submission/read-envelope.test.ts",
      "test/submission/verify-signatures.test.ts",
      "test/webhooks/sign.test.ts",
    ],
  },
  {
    name: "sep7",
    sources: ["src/http/checkout/sep7.ts"],
    tests: ["test/http/checkout/sep7.test.ts"],
  },
];
