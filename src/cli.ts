#!/usr/bin/env node
import { COMMANDS } from "./cli/commands.js";
import { runProgram } from "./cli/run-program.js";

await runProgram(COMMANDS);
