import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { ADMIN_KEY } from "../support/api.js";
import { FilledApi } from "../support/filled-api.js";
import { bringPython, NotHereError, runForeign } from "../support/foreign-tools.js";
import { describeAtLength } from "../support/long.js";

/** Not built: read as they are in the source tree. */
const SOURCES = fileURLToPath(new URL("../../../test/schemathesis", import.meta.url));

/** For each operation and each kind of request. 20 are about 4,000 requests, in one to three minutes. */
const EXAMPLES = Number(process.env.SCHEMATHESIS_EXAMPLES || 20);

/** The same requests each time; another one finds other faults. */
const SEED = Number(process.env.SCHEMATHESIS_SEED || 20261121);

/** So many more examples may take an hour; a run that hangs is ended, and says so. */
const TIMEOUT_MS = 3_600_000;

describeAtLength("schemathesis, which asks whatever the description allows and forbids", function () {
  this.timeout(TIMEOUT_MS + 600_000);
  let filled: FilledApi;
  let packages: string;
  let folder: string;

  before(async function () {
    try {
      packages = await bringPython(join(SOURCES, "requirements.txt"));
    } catch (error) {
      if (!(error instanceof NotHereError)) throw error;
      console.log(`    skipped: ${error.message}`);
      return this.skip();
    }
    folder = await mkdtemp(join(tmpdir(), "paidonce-schemathesis-"));
    filled = await FilledApi.start();
  });
  after(async () => {
    await filled?.[Symbol.asyncDispose]();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it("gets no 5xx, no answer that is not described, and nothing accepted that the description forbids", async () => {
    const { api, key, known } = filled;
    const { paths } = (await api.ask("GET", "/v1/openapi.json")).body;
    const operations = Object.values<object>(paths).flatMap((methods) => Object.keys(methods)).length;
    const wrote = await runForeign(
      "python3",
      [
        ...["-c", "from schemathesis.cli import schemathesis; schemathesis()"],
        ...["--config-file", join(SOURCES, "schemathesis.toml"), "run", `${api.url}/v1/openapi.json`],
        ...["--url", api.url, "--no-color", "--max-examples", `${EXAMPLES}`, "--seed", `${SEED}`],
      ],
      {
        cwd: folder,
        timeoutMs: TIMEOUT_MS,
        env: {
          PYTHONPATH: packages,
          MERCHANT_KEY: key,
          ADMIN_KEY,
          ENDPOINT: known.endpoint ?? "",
          EVENT: known.event ?? "",
        },
      },
    );
    const summary = wrote.slice(wrote.indexOf("= SUMMARY ="));
    console.log(`    ${/\d+ generated.*/.exec(summary)?.[0]}, seed ${SEED}`);
    // A run that left out half of it, or asked for next to nothing, would prove little.
    expect(summary).to.match(new RegExp(`Tested: ${operations}\\b`));
    expect(Number(/(\d+) generated/.exec(summary)?.[1])).to.be.at.least(operations * 20);
  });
});
