/**
 * Generators of clients as merchants use them, each with a program in its language that uses what it makes. What they
 * generate lies in a folder of the run and is thrown away: it is the description that is tested.
 */
import { cp, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bringGo, bringNpm, bringPython, type Command, runForeign } from "../support/foreign-tools.js";

/** Not built: read as they are in the source tree. */
const SOURCES = fileURLToPath(new URL("../../../test/clients", import.meta.url));

const PYTHON = join(SOURCES, "python", "requirements.txt");

export type Generator = {
  /** What the program calls itself: its session's metadata, and its Idempotency-Key. */
  readonly order: string;
  readonly title: string;
  /** Whether it takes a few seconds and no language beside Node: then every run of the tests has it. */
  readonly isQuick: boolean;
  /** @throws NotHereError where the machine lacks the language, or its registry */
  bring(): Promise<void>;
  /** Makes the client in `folder` from the description. */
  generate(folder: string, description: unknown): Promise<void>;
  /** @returns what the program wrote */
  use(folder: string, env: Readonly<Record<string, string>>): Promise<string>;
};

const typescript: Generator = {
  order: "typescript",
  title: "TypeScript, by hey-api with valibot",
  isQuick: true,
  bring: async () => void (await bringNpm(join(SOURCES, "typescript"))),
  generate: async (folder, description) => {
    const packages = await bringNpm(join(SOURCES, "typescript"));
    await begin(folder, "typescript", description);
    await symlink(join(packages, "node_modules"), join(folder, "node_modules"));
    await node(folder, ["node_modules/.bin/openapi-ts", "--file", "openapi-ts.config.mjs"]);
    await node(folder, ["node_modules/typescript/bin/tsc", "--project", "."]);
  },
  use: (folder, env) => node(folder, ["built/use.js"], env),
};

const python: Generator = {
  order: "python",
  title: "Python, by openapi-python-client",
  isQuick: false,
  bring: async () => void (await bringPython(PYTHON)),
  generate: async (folder, description) => {
    await begin(folder, "python", description);
    await runPython(folder, [
      ...["-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config", "generator.yml"],
      ...["--meta", "none", "--output-path", "generated"],
    ]);
  },
  use: (folder, env) => runPython(folder, ["use.py"], env),
};

const goClient = (order: string, title: string, generate: readonly string[]): Generator => ({
  order,
  title,
  isQuick: false,
  bring: () => bringGo(join(SOURCES, "go")),
  generate: async (folder, description) => {
    await begin(folder, "go", description);
    await go(folder, ["tool", ...generate]);
  },
  use: (folder, env) => go(folder, ["run", `./use/${order}`], env),
});

export const GENERATORS: readonly Generator[] = [
  typescript,
  python,
  goClient("ogen", "Go, by ogen", [
    "ogen",
    ...["--target", "generated/ogen", "--package", "ogen", "--config", "ogen.yml", "openapi.json"],
  ]),
  goClient("oapi", "Go, by oapi-codegen", [
    "oapi-codegen",
    ...["-generate", "types,client", "-package", "oapi", "-o", "generated/oapi/oapi.go", "openapi.json"],
  ]),
];

async function begin(folder: string, language: string, description: unknown): Promise<void> {
  await cp(join(SOURCES, language), folder, { recursive: true });
  await writeFile(join(folder, "openapi.json"), JSON.stringify(description));
}

function node(cwd: string, args: readonly string[], env: Command["env"] = {}): Promise<string> {
  return runForeign(process.execPath, args, { cwd, env });
}

async function runPython(cwd: string, args: readonly string[], env: Command["env"] = {}): Promise<string> {
  return runForeign("python3", args, { cwd, env: { ...env, PYTHONPATH: await bringPython(PYTHON) } });
}

function go(cwd: string, args: readonly string[], env: Command["env"] = {}): Promise<string> {
  return runForeign("go", args, { cwd, env: { ...env, GOTOOLCHAIN: "local" } });
}
