import { spawn } from "node:child_process";
import { once } from "node:events";
import { CLI, roleEnvironment } from "../support/role-process.js";
import type { Spine } from "../support/spine.js";

/** Runs `paidonce audit` as an operator does, without a Redis: it keeps to a part of the budget. */
export async function runAudit(
  spine: Spine,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly output: string }> {
  const env = roleEnvironment({
    DATABASE_URL: spine.database.url,
    REDIS_URL: "redis://127.0.0.1:9",
    HORIZON_URL: spine.stage.sandbox.url,
  });
  const child = spawn(process.execPath, [CLI, "audit", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text: string) => {
      output += text;
    });
  const [code] = await once(child, "close");
  return { code, output };
}
