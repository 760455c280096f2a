import { fileURLToPath } from "node:url";
import { ConfigError, environment, readConfig } from "../../src/config.js";

/** Where the page is kept, seen from dist/test/docs. */
export const CONFIGURATION_PAGE = fileURLToPath(new URL("../../../docs/configuration.md", import.meta.url));

/** Enough for every variable that has no default. */
export const REQUIRED = {
  DATABASE_URL: "postgres://paidonce:secret@127.0.0.1:5432/paidonce",
  REDIS_URL: "redis://127.0.0.1:6379",
  HORIZON_URL: "https://horizon-testnet.stellar.org",
} as const;

const HEAD = `# Configuration

<!-- Made from the schema in src/config.ts by \`npm run docs\`; a test compares the two. Don't edit by hand. -->

Every process reads these environment variables once, at start. An empty one counts as not set. A variable without a
default is not set. Units are in the names. With a wrong one
the process ends with exit code 2 and one line for each; passwords are never shown:

\`\`\`text
%EXAMPLE%
\`\`\`

\`paidonce up\` starts its own servers where none of the three is set; commands in the same folder find them.
`;

/** The page as `src/config.ts` has it now. */
export function configurationPage(): string {
  const example = problems({ ...REQUIRED, REDIS_URL: "http://:pass@127.0.0.1:6379", CONSUMER_BATCH: "many" });
  const sections = Object.entries(environment.shape).map(
    ([name, { description = "" }]) =>
      `## ${name}\n\n${description}\n\n${defaultLine(name)}- accepts: ${acceptedBy(name)}\n`,
  );
  return [HEAD.replace("%EXAMPLE%", example.join("\n")), ...sections].join("\n");
}

/** What a process with only the servers set works with. A variable that is not set has no line. */
function defaultLine(name: string): string {
  if (name in REQUIRED) return "- must be set\n";
  const value = Object.entries(environment.parse(REQUIRED)).find(([key]) => key === name)?.[1];
  return value === undefined ? "" : `- default: \`${String(value)}\`\n`;
}

/** Each variable that does not take any text refuses one of these. */
const WRONG_FOR_ALL = ["?", ":"];

/** In the words of the answer to a wrong value; a variable that takes whatever it is given has none. */
function acceptedBy(name: string): string {
  for (const value of WRONG_FOR_ALL) {
    for (const problem of problems({ ...REQUIRED, [name]: value })) {
      const [, wanted] = /^\w+: got .*?, wants (.*)$/.exec(problem) ?? [];
      // A value can be right and still not fit to another variable: the answer then is about that one.
      if (wanted !== undefined && problem.startsWith(`${name}: `)) return wanted;
    }
  }
  return "any text";
}

function problems(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}
