import type { Context } from "koa";
import { inSerializableTransaction } from "../../postgres/serializable.js";
import { formBody } from "../server/body.js";
import { Problem } from "../server/problem.js";
import type { RateLimit } from "../server/rate-limit.js";
import { Id } from "../server/values.js";
import { type HandInSources, readSigned, takeTransaction } from "../sessions/take-transaction.js";

export type CallbackSources = HandInSources & { readonly rateLimit: RateLimit };

/**
 * `POST /pay/:id/transaction`: where wallets send what their user has signed, as the form field `xdr` (SEP-7,
 * `callback`). Answers programs: a problem document where it is refused.
 */
export function walletCallback(sources: CallbackSources) {
  return async (context: Context): Promise<void> => {
    await sources.rateLimit(context, { kind: "public" });
    const id = Id.safeParse(context.params.id);
    if (!id.success) throw new Problem("not-found", "There is no such checkout session.");
    const { xdr } = await formBody(context);
    if (typeof xdr !== "string") {
      throw new Problem("invalid-request", "Send the signed transaction as the form field xdr, once.", {
        errors: [{ in: "body", field: "xdr", detail: "base64 of a signed TransactionEnvelope" }],
      });
    }
    // A wallet that does not encode its form sends + as it is, which reads as a space. Base64 has none.
    const envelope = await readSigned(sources, id.data, xdr.replaceAll(" ", "+"));
    const { body } = await inSerializableTransaction(sources.dataSource, (runner) =>
      takeTransaction(runner, id.data, envelope, sources),
    );
    context.set("Cache-Control", "no-store");
    context.status = 202;
    context.body = body;
  };
}
