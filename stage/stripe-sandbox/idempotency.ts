import { inFlight, StripeProblem } from "./errors.js";

/** An answer as it was given: a later change of the intent does not change it. */
export type Answer = {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
};

type Entry = { readonly request: string; answer: Answer | null };

/**
 * Stripe's v1 idempotency (API reference, "Idempotent requests"): the first answer under a key is kept, 500s too, once
 * work has begun; a request that was invalid, or came while the first was under way, is not.
 */
export class KeptAnswers {
  readonly #entries = new Map<string, Entry>();

  /**
   * @param request all that has to be the same under the same key
   * @param work answers; `isKept` says whether a repetition gets the same
   * @throws StripeProblem 400 for another request under the key, 409 while the first one runs
   */
  async answer(
    key: string,
    request: string,
    work: () => Promise<{ readonly answer: Answer; readonly isKept: boolean }>,
  ): Promise<Answer> {
    const known = this.#entries.get(key);
    if (known !== undefined) return replay(key, request, known);
    const entry: Entry = { request, answer: null };
    this.#entries.set(key, entry);
    try {
      const { answer, isKept } = await work();
      if (isKept) entry.answer = answer;
      return answer;
    } finally {
      if (entry.answer === null) this.#entries.delete(key);
    }
  }

  /** Stripe forgets keys after a day or so. */
  forget(): void {
    for (const [key, entry] of this.#entries) if (entry.answer !== null) this.#entries.delete(key);
  }
}

function replay(key: string, request: string, known: Entry): Answer {
  if (known.request !== request)
    throw new StripeProblem(
      400,
      "idempotency_error",
      "Keys for idempotent requests can only be used with the same parameters they were first used with.",
    );
  if (known.answer === null) throw inFlight(key);
  return { ...known.answer, headers: { ...known.answer.headers, "idempotent-replayed": "true" } };
}
