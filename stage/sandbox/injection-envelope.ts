import {
  Account,
  Asset,
  type Keypair,
  nativeToScVal,
  Operation,
  TransactionBuilder,
} from "@stellar/stellar-sdk";
import type { JsonObject } from "./json.js";

/** The genuine contract call that carries an injection; what it calls is the lumen contract's `transfer`. */
export function injectionEnvelope(signer: Keypair, sequence: bigint, passphrase: string): string {
  const contract = Asset.native().contractId(passphrase);
  const transaction = new TransactionBuilder(new Account(signer.publicKey(), sequence.toString()), {
    fee: "100",
    networkPassphrase: passphrase,
  })
    .addOperation(
      Operation.invokeContractFunction({ contract, function: "transfer", args: [nativeToScVal("sandbox")] }),
    )
    .setTimeout(0)
    .build();
  transaction.sign(signer);
  return transaction.toEnvelope().toXdr("base64");
}

/** The fields beside the moves on Horizon's invoke_host_function record. */
export function callFields(passphrase: string): JsonObject {
  const parameter = (type: string, value: ReturnType<typeof nativeToScVal>) => ({
    value: value.toXdr("base64"),
    type,
  });
  return {
    function: "HostFunctionTypeHostFunctionTypeInvokeContract",
    parameters: [
      parameter("Address", nativeToScVal(Asset.native().contractId(passphrase), { type: "address" })),
      parameter("Sym", nativeToScVal("transfer", { type: "symbol" })),
    ],
    address: "",
    salt: "",
  };
}
