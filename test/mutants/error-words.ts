/**
 * A plugin for StrykerJS: leaves the words of errors alone. They are for people; a test that held each of them would be
 * their copy. Only sentences are words: a code without a blank, such as `broken_body`, is read by programs and is mutated.
 */

/** What is read of a place in a file's syntax: a path as Babel has it, of which StrykerJS gives away no types. */
type Place = { readonly node: Node; readonly parent: Node };

type Node = {
  readonly type: string;
  readonly value?: unknown;
  readonly quasis?: readonly { readonly value: { readonly raw: string } }[];
  readonly callee?: { readonly type: string; readonly name?: string };
};

const ignorer = {
  shouldIgnore: ({ node, parent }: Place): string | undefined =>
    isSentence(node) && isError(parent) ? "the words of an error" : undefined,
};

/** The name by which StrykerJS is told to use it. */
export const ERROR_WORDS = "error-words";

export const strykerPlugins = [{ kind: "Ignore", name: ERROR_WORDS, value: ignorer }];

function isSentence({ type, value, quasis = [] }: Node): boolean {
  if (type === "StringLiteral") return typeof value === "string" && value.includes(" ");
  return type === "TemplateLiteral" && quasis.some((part) => part.value.raw.includes(" "));
}

/** Whether it is `new …Error(…)`: what stands in a function that is called there has another parent. */
function isError({ type, callee }: Node): boolean {
  return type === "NewExpression" && callee?.type === "Identifier" && callee.name?.endsWith("Error") === true;
}
