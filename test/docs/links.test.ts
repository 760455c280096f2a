import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { PROBLEMS } from "../../src/http/server/problem.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Folders whose pages are read; "." is the root. */
const FOLDERS = [".", "docs", "deploy", "bench/results"];

const PAGES = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name)),
);

const read = (page: string) => readFileSync(join(ROOT, page), "utf8");

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): readonly string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("documentation", () => {
  for (const page of PAGES) {
    it(`${page} links only to what is there`, () => {
      for (const [, target = "", anchor] of read(page).matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
        if (/^https?:/.test(target)) continue;
        const linked = target === "" ? page : join(dirname(page), target);
        expect(existsSync(join(ROOT, linked)), target).to.equal(true);
        if (anchor !== undefined) expect(anchorsOf(linked), `${target}#${anchor}`).to.include(anchor);
      }
    });
  }

  it("every runbook of an alert is a section that is there", () => {
    const runbooks = [...read("ops/alert-rules.yml").matchAll(/runbook: ([^#\s]+)#(\S+)/g)];
    expect(runbooks).to.have.length.above(20);
    for (const [, page = "", anchor] of runbooks) expect(anchorsOf(page)).to.include(anchor);
  });

  it("every problem type that the API answers has its section in docs/problems.md", () => {
    const kinds = Object.keys(PROBLEMS);
    for (const kind of kinds) expect(read("docs/problems.md")).to.include(`\n## ${kind}\n`);
  });
});
