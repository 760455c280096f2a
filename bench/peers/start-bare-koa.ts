import { fork } from "node:child_process";
import { once } from "node:events";

export type BareKoa = AsyncDisposable & { readonly url: string; readonly pid: number };

/** Starts the bare route in a process of its own. @param env see bare-koa.ts */
export async function startBareKoa(env: Readonly<Record<string, string>>): Promise<BareKoa> {
  const child = fork(new URL("bare-koa.js", import.meta.url), { env, execArgv: [] });
  const [url] = (await once(child, "message")) as [string];
  return {
    url,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    },
  };
}
