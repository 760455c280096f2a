import { z } from "zod";
import { Id } from "./values.js";

/** RFC 9457, with what we add to it. */
export const ProblemDocument = z
  .object({
    type: z.string().meta({ description: "Stable: match on this." }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().optional().meta({
      description:
        "Of `transaction-refused`, and of `charge-refused` where a signed transaction is why: which reason it is; docs/submission.md lists them. Of `account-not-payable`: what is in the way; docs/problems.md lists it. Stable.",
      example: "wrong_amount",
    }),
    errors: z
      .array(
        z.object({ in: z.enum(["body", "query", "path", "header"]), field: z.string(), detail: z.string() }),
      )
      .optional(),
    memo_hash: z.string().optional().meta({
      description:
        "Of `charge-refused` with the code `wrong_memo`: the hash memo that the transaction must carry.",
    }),
    charge_id: Id.optional().meta({
      description:
        "Of `charge-reference-used`: the first charge of the reference. Of `charge-refused` with the code `used`: the charge that the transaction was handed in for.",
    }),
    url: z
      .string()
      .optional()
      .meta({ description: "Of `charge-reference-used`: where the first charge is read." }),
    session_id: Id.optional().meta({
      description:
        "Of `charge-refused` with the code `for_session` or `applied`: the checkout session that the transaction pays, or has paid.",
    }),
    exceptions: z.array(z.string()).optional().meta({
      description:
        "Of `charge-refused` with the code `applied`: the keys of the exceptions where the transaction's money is accounted for.",
    }),
    request_id: z.string(),
  })
  .meta({ id: "Problem" });
