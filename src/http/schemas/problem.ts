import { z } from "zod";
import { Id } from "./values.js";

/** RFC 9457, with what we add to it. */
export const ProblemDocument = z
  .object({
    type: z.string().meta({ description: "Stable: match on this." }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().optional().meta({ description: "Which of the type's reasons it is: stable." }),
    errors: z
      .array(
        z.object({ in: z.enum(["body", "query", "path", "header"]), field: z.string(), detail: z.string() }),
      )
      .optional(),
    charge_id: Id.optional().meta({ description: "Of `charge-reference-used`: the first charge." }),
    url: z
      .string()
      .optional()
      .meta({ description: "Of `charge-reference-used`: where the first charge is." }),
    request_id: z.string(),
  })
  .meta({ id: "Problem" });
