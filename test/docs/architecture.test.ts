import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PAGE = readFileSync(join(ROOT, "docs/architecture.md"), "utf8");

/** The files of a section's numbered lines, each of which begins with a link. */
function walk(title: string): string[] {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith(`${title}\n`));
  expect(section, `a section called ${title}`).to.be.a("string");
  const lines = (section ?? "").match(/^\d+\. .*/gm) ?? [];
  return lines.map((line) => {
    const link = /^\d+\. \[([^\]]+)\]\(\.\.\/(src\/[^)]+\.ts)\): \S/.exec(line);
    expect(link, `a line that names one file and says what it does: ${line}`).not.to.equal(null);
    expect(link?.[2], line).to.match(new RegExp(`/${link?.[1]}$`));
    return link?.[2] ?? "";
  });
}

/** What a file imports of the project. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(/from "(\.[^"]+)\.js"/g)].map(([, path = ""]) =>
    normalize(join(dirname(file), `${path}.ts`)),
  );
}

describe("docs/architecture.md", () => {
  for (const [title, most] of [
    ["The way of one credit", 30],
    ["The way of one charge", 25],
  ] as const) {
    it(`${title}: at most ${most} files, each opened once, each there, each tied to the others by imports`, () => {
      const files = walk(title);
      expect(files.length).to.be.within(10, most);
      expect(new Set(files).size, "each once").to.equal(files.length);
      for (const file of files) expect(existsSync(join(ROOT, file)), file).to.equal(true);
      const neighbours = new Map(files.map((file) => [file, new Set<string>()]));
      for (const file of files) {
        for (const imported of importsOf(file)) {
          neighbours.get(imported)?.add(file);
          if (neighbours.has(imported)) neighbours.get(file)?.add(imported);
        }
      }
      const reached = new Set(files.slice(0, 1));
      for (const file of reached) for (const next of neighbours.get(file) ?? []) reached.add(next);
      expect(files.filter((file) => !reached.has(file))).to.deep.equal([]);
    });
  }

  it("answers a newcomer's questions by one file each", () => {
    const section = PAGE.split(/^## /m).find((text) => text.startsWith("Where is …\n")) ?? "";
    const answers = section.match(/^\| (?!question|-).*/gm) ?? [];
    expect(answers.length).to.be.greaterThan(5);
    for (const row of answers) {
      const files = [...row.matchAll(/\]\(\.\.\/(src\/[^)]+\.ts)\)/g)].map(([, file = ""]) => file);
      expect(files, row).to.have.length(1);
      expect(existsSync(join(ROOT, files[0] ?? "")), row).to.equal(true);
    }
  });
});
