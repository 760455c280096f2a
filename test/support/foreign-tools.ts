/**
 * Programs of other languages that tests run: brought by each language's own client from the registry that the machine is
 * set up for, at the versions that lie beside the test, and kept beside what `./dev` brings.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bring } from "./bring.js";

const execute = promisify(execFile);

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const FOREIGN = join(ROOT, ".tools", "foreign");

/** A registry that does not answer, a build on a busy machine: then it is said that it was too long, and for what. */
const USUAL_TIMEOUT_MS = 300_000;
const MEGABYTES_16 = 16 * 1024 * 1024;

/** Something that the machine lacks, in words for whoever runs the tests. */
export class NotHereError extends Error {
  override name = "NotHereError";
}

export type Command = {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Five minutes when left out. */
  readonly timeoutMs?: number;
};

/** @returns what it wrote to its output @throws Error with all that it wrote, when it fails or takes too long */
export async function runForeign(
  program: string,
  args: readonly string[],
  { cwd, env, timeoutMs = USUAL_TIMEOUT_MS }: Command = {},
) {
  try {
    const { stdout } = await execute(program, args, {
      timeout: timeoutMs,
      maxBuffer: MEGABYTES_16,
      env: { ...process.env, ...env },
      ...(cwd !== undefined && { cwd }),
    });
    return stdout;
  } catch (error) {
    const {
      stdout = "",
      stderr = "",
      killed,
    } = error as { stdout?: string; stderr?: string; killed?: boolean };
    const how = killed === true ? `took longer than ${timeoutMs / 60_000} minutes` : "failed";
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${program} ${args[0] ?? ""} ${how}: ${message}\n${stdout}\n${stderr}`);
  }
}

/**
 * Packages of npm.
 * @param source holds a package.json and its lockfile
 * @returns a folder with their node_modules
 */
export async function bringNpm(source: string): Promise<string> {
  const files = ["package.json", "package-lock.json"];
  const folder = join(FOREIGN, `npm-${await digestOf(files.map((name) => join(source, name)))}`);
  return orNotHere("npm", () =>
    bring(folder, async (making) => {
      for (const name of files) await copyFile(join(source, name), join(making, name));
      await runForeign("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: making });
    }),
  );
}

/**
 * Packages of Python.
 * @param requirements a file with each of them at one version
 * @returns a folder for PYTHONPATH
 */
export async function bringPython(requirements: string): Promise<string> {
  const folder = join(FOREIGN, `python-${await digestOf([requirements])}`);
  return orNotHere("python3", () =>
    bring(folder, (making) =>
      runForeign("python3", ["-m", "pip", "install", "--quiet", "--target", making, "-r", requirements]),
    ),
  );
}

/** Modules of Go, into its own cache. */
export async function bringGo(source: string): Promise<void> {
  // Another Go than the one that is here would be brought from where no registry is.
  const env = { GOTOOLCHAIN: "local" };
  await orNotHere("go", () => runForeign("go", ["mod", "download"], { cwd: source, env }));
}

async function orNotHere<T>(program: string, work: () => Promise<T>): Promise<T> {
  return work().catch((error: unknown) => {
    throw new NotHereError(
      `${program} could not bring it: ${error instanceof Error ? error.message : error}`,
    );
  });
}

async function digestOf(files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file));
  return hash.digest("hex").slice(0, 12);
}
