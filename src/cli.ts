#!/usr/bin/env node
import { COMMANDS, runProgram } from "./cli/run-program.js";

await runProgram(COMMANDS);
