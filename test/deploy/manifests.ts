import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import type { Json } from "../support/api.js";

export const DEPLOY = fileURLToPath(new URL("../../../deploy", import.meta.url));

/** A manifest as YAML has it, only as far as the tests read it. */
export type Manifest = {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Json;
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
};

type ConfigMapGenerator = { readonly name: string; readonly literals: readonly string[] };

export type Kustomization = {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly { readonly path?: string }[];
  readonly configMapGenerator?: readonly ConfigMapGenerator[];
};

export const readKustomization = (folder: string): Kustomization =>
  parse(readFileSync(join(DEPLOY, folder, "kustomization.yaml"), "utf8"));

export function readManifests(path: string): Manifest[] {
  return parseManifests(readFileSync(join(DEPLOY, path), "utf8"));
}

/** What a folder's own files say: its resources, none of its patches. */
export function manifestsOf(folder: string): Manifest[] {
  return (readKustomization(folder).resources ?? [])
    .filter((path) => path.endsWith(".yaml"))
    .flatMap((path) => readManifests(join(folder, path)));
}

/** What `kubectl` would apply. @throws where there is no kubectl, see `HAS_KUBECTL` */
export function render(folder: string): Manifest[] {
  return parseManifests(execFileSync("kubectl", ["kustomize", join(DEPLOY, folder)], { encoding: "utf8" }));
}

export const HAS_KUBECTL = (() => {
  try {
    execFileSync("kubectl", ["kustomize", "--help"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

/** Every folder with a kustomization, such as `base` and `overlays/small`. */
export function folders(): string[] {
  return readdirSync(DEPLOY, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith("kustomization.yaml"))
    .map((path) => path.replace(/\/kustomization\.yaml$/, ""))
    .sort();
}

/** Files of a folder itself, without folders in it. */
export const filesOf = (folder: string) =>
  readdirSync(join(DEPLOY, folder), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}
