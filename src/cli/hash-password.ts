import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Command } from "commander";
import { hashPassword } from "../http/ops/login.js";
import { print } from "./print.js";

const SHORTEST = 12;

export function addHashPasswordCommand(program: Command): void {
  program
    .command("hash-password")
    .description("read a password from stdin and print its hash, for OPS_PASSWORD_HASH")
    .action(async () => {
      const password = await readLine();
      if (password.length < SHORTEST) throw new Error(`a password has ${SHORTEST} characters or more`);
      await print(await hashPassword(password));
    });
}

/** The first line of stdin; on a terminal what is typed is not shown. */
async function readLine(): Promise<string> {
  const isTerminal = process.stdin.isTTY === true;
  if (isTerminal) process.stderr.write("password: ");
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: isTerminal });
  try {
    for await (const line of lines) return line;
    return "";
  } finally {
    lines.close();
    if (isTerminal) process.stderr.write("\n");
  }
}
