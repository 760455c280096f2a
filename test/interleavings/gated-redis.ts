import type { ChainableCommander, Redis } from "ioredis";
import type { Gate } from "./gate.js";

/** Those that decide what is read, kept and acknowledged. The rest (a bell that is rung, say) decides nothing. */
const STOPPED = new Set(["eval", "xinfo", "xgroup", "xreadgroup", "xautoclaim", "xpending", "call"]);

type Command = (...args: unknown[]) => Promise<unknown>;

/** `redis` for the code of one lane: its stream commands are steps of the schedule, a MULTI as a whole. */
export function redisBehind(redis: Redis, gate: Gate): Redis {
  return new Proxy(redis, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (name === "multi") return () => stopped(target.multi(), gate);
      if (typeof member !== "function") return member;
      const command = member.bind(target) as Command;
      if (typeof name !== "string" || !STOPPED.has(name)) return command;
      return (...args: unknown[]) => gate.passCommand(`redis ${name}`.toUpperCase(), () => command(...args));
    },
  });
}

function stopped(chain: ChainableCommander, gate: Gate): ChainableCommander {
  const exec = chain.exec.bind(chain);
  chain.exec = (() => gate.passCommand("REDIS MULTI", () => exec())) as ChainableCommander["exec"];
  return chain;
}
