/**
 * A process that starts a role as `paidonce up` does, tells its pid in one line once it is ready, and then only
 * lives: for tests that end it in a bad way. Argument: the command. The role gets this process's environment.
 */
import { fork } from "node:child_process";
import { CLI } from "./role-process.js";

const [command = ""] = process.argv.slice(2);
const role = fork(CLI, [command], {
  execArgv: [],
  stdio: ["ignore", "ignore", "ignore", "ipc"],
  detached: true,
});
role.once("message", () => process.stdout.write(`${role.pid}\n`));
