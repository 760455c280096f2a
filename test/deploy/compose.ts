import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { DEPLOY } from "./manifests.js";

const ROOT = join(DEPLOY, "..");

export const readRootFile = (path: string) => readFileSync(join(ROOT, path), "utf8");

export type Service = {
  readonly command?: readonly string[];
  readonly build?: string;
  readonly env_file?: readonly string[];
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly volumes?: readonly string[];
};

export type Variables = Readonly<Record<string, string>>;

export const COMPOSE_FILE = readRootFile("docker-compose.yml");

export const SERVICES: Readonly<Record<string, Service>> = parse(COMPOSE_FILE, { merge: true }).services;

/** The services that run the program, by name. */
export const ROLES = Object.entries(SERVICES).filter(([, { build }]) => build !== undefined);

/** What stands in a `.env` file, as far as `.env.example` uses its syntax. */
export function readEnvFile(text: string): Variables {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

/**
 * What a container of a service is given, as Compose puts it together: the file's variables, and over them `environment`.
 * @param file what stands in `.env`; nothing is set in the shell
 */
export function environmentOf({ env_file = [], environment = {} }: Service, file: Variables): Variables {
  for (const path of env_file) if (path !== ".env") throw new Error(`${path} is not .env`);
  const own = Object.entries(environment).flatMap(([name, value]) => {
    // Without a value it is passed on, where there is one.
    if (value === null) return file[name] === undefined ? [] : [[name, file[name]] as const];
    return [[name, interpolate(value, file)] as const];
  });
  return { ...(env_file.length > 0 ? file : {}), ...Object.fromEntries(own) };
}

/** @throws Error with what is said, where a variable is required and not set */
function interpolate(text: string, file: Variables): string {
  return text.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, otherwise: string, words: string) => {
    const value = file[name] || (otherwise === "-" ? words : undefined);
    if (value === undefined) throw new Error(`${name}: ${words}`);
    return value;
  });
}
