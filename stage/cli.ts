#!/usr/bin/env node
import { COMMANDS, type LoadCommand, runProgram } from "../src/cli/run-program.js";
import { findRunningUp } from "./up/data-folder.js";

const sandbox: LoadCommand = async () => (await import("./cli/sandbox.js")).addSandboxCommands;

/** What a checkout has beside the service: everything on this machine, and other parties to try it with. */
const STAGE: ReadonlyMap<string, LoadCommand> = new Map<string, LoadCommand>([
  ["up", async () => (await import("./cli/up.js")).addUpCommand],
  ["sandbox", sandbox],
  ["stripe-sandbox", async () => (await import("./cli/stripe-sandbox.js")).addStripeSandboxCommand],
  ["customers", sandbox],
  ["demo-key", sandbox],
  ["pay", sandbox],
  ["sign", async () => (await import("./cli/sign.js")).addSignCommand],
]);

/** These start servers, or are given their own: none of them looks for a running `up`. */
const STARTS_SERVERS = new Set(["up", "sandbox", "stripe-sandbox"]);

if (!STARTS_SERVERS.has(process.argv[2] ?? "")) await findRunningUp(process.env);
await runProgram(new Map([...STAGE, ...COMMANDS]));
