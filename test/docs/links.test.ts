import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { PROBLEMS } from "../../src/http/problem.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

const PAGES = [
  ...readdirSync(ROOT).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  "deploy/README.md",
];

const read = (page: string) => readFileSync(join(ROOT, page), "utf8");

describe("documentation", () => {
  for (const page of PAGES) {
    it(`${page} links only to what is there`, () => {
      for (const [, target = ""] of read(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (/^https?:/.test(target)) continue;
        expect(existsSync(join(ROOT, dirname(page), target)), target).to.equal(true);
      }
    });
  }

  it("docs/architecture.md names only constraints that the schema has", () => {
    const folder = "src/entities/migrations";
    const statements = readdirSync(join(ROOT, folder)).map((file) => read(`${folder}/${file}`));
    const [, table = ""] = read("docs/architecture.md").split("## The constraints");
    const named = [...(table.split("\n## ")[0] ?? "").matchAll(/`((?:[a-z]+_){2,}[a-z]+)`/g)].map(
      ([, name]) => name,
    );
    expect(named).to.have.length.above(15);
    // Declared, or raised by a trigger under its name.
    for (const name of named)
      expect(statements.join("\n")).to.match(new RegExp(`CONSTRAINT ${name}\\b|broken := '${name}'`));
  });

  it("every problem type that the API answers has its section in docs/problems.md", () => {
    const kinds = Object.keys(PROBLEMS);
    for (const kind of kinds) expect(read("docs/problems.md")).to.include(`\n## ${kind}\n`);
  });
});
