import { Memo, StrKey } from "@stellar/stellar-sdk";
import { type Command, InvalidArgumentError, Option } from "commander";
import { print } from "../../src/cli/print.js";
import { ConfigError, readConfig } from "../../src/config.js";
import { parseAccountId } from "../../src/stellar/account.js";
import { type Asset, NATIVE, parseAsset } from "../../src/stellar/asset.js";
import type { AccountId } from "../../src/stellar/credit.js";
import { parseStroops, type Stroops } from "../../src/stellar/stroops.js";
import { SANDBOX_PASSPHRASE } from "../sandbox/network.js";
import { signPayment } from "../up/sign-payment.js";

type SignOptions = {
  readonly to: AccountId;
  readonly amount: Stroops;
  readonly asset: Asset;
  readonly memo?: Memo;
  readonly memoId?: Memo;
  readonly memoHash?: Memo;
  readonly secret?: string;
};

/** For whoever tries signed transactions by hand: somebody must sign what they hand in. */
export function addSignCommand(program: Command): void {
  program
    .command("sign")
    .description(
      "sign a payment on the sandbox and print its envelope, unsent: to hand in for a charge or a session",
    )
    .requiredOption("--to <account>", "whom it pays", by(parseAccountId, "It must be a G… address."))
    .requiredOption(
      "--amount <decimal>",
      "how much",
      by(parseStroops, "It must be a decimal with at most 7 decimals."),
    )
    .option("--asset <asset>", "of what", by(parseAsset, 'It must be "native" or "CODE:ISSUER".'), NATIVE)
    .addOption(
      new Option("--memo <text>", "a text memo")
        .argParser(by(Memo.text, TOO_LONG))
        .conflicts(["memoId", "memoHash"]),
    )
    .option("--memo-id <number>", "an id memo", by(Memo.id, "It must be a whole number of 64 bits."))
    .option(
      "--memo-hash <hex>",
      "a hash memo, as GET /v1/charges/memo gives it",
      by(Memo.hash, "It must be 64 hex digits."),
    )
    .option(
      "--secret <seed>",
      "who pays, S…; somebody new from friendbot when left out",
      by(seed, "It must be a secret seed, S…"),
    )
    .addHelpText("after", "\nExample:\n  paidonce sign --to G… --amount 12.50 --memo-id 42")
    .action(async ({ to, amount, asset, memo, memoId, memoHash, secret }: SignOptions) => {
      const { HORIZON_URL: horizonUrl, NETWORK_PASSPHRASE: passphrase } = readConfig(process.env);
      // A secret on a command line is in the shell's history.
      if (passphrase !== SANDBOX_PASSPHRASE) {
        throw new ConfigError([
          `NETWORK_PASSPHRASE: got another network's, and sign is for the sandbox alone`,
        ]);
      }
      const payment = { to, amount, asset, memo: memo ?? memoId ?? memoHash ?? null, secret: secret ?? null };
      await print(await signPayment(payment, { horizonUrl, passphrase }));
    });
}

const TOO_LONG = "It must be at most 28 bytes.";

function by<T>(parse: (text: string) => T, otherwise: string): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch {
      throw new InvalidArgumentError(otherwise);
    }
  };
}

function seed(text: string): string {
  if (!StrKey.isValidEd25519SecretSeed(text)) throw new TypeError("no seed");
  return text;
}
