/**
 * Traces for OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says so (tracing-otlp.ts). Without it nothing of
 * OpenTelemetry is loaded, and all of this does nothing but call through.
 */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** A place in a trace, as W3C's `traceparent` header has it. */
export type TraceParent = string & { readonly kind: "trace parent" };

export type SpanOptions = {
  /** The span that asked, or that this work belongs to: the settlement of an entry hangs below its append. */
  readonly parent?: TraceParent | null;
  readonly kind?: "server" | "producer" | "consumer" | "client";
  readonly facts?: SpanFacts;
};

/** A span that is open. */
export type Span = {
  /** For who goes on elsewhere; null where nothing is traced. */
  readonly parent: TraceParent | null;
  tell(facts: SpanFacts): void;
  /** A better name, once it is known. */
  rename(name: string): void;
};

export type Tracer = {
  current(): TraceParent | null;
  inSpan<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
};

const NO_SPAN: Span = { parent: null, tell: () => undefined, rename: () => undefined };

let tracer: Tracer | null = null;

/** Called once, at the start of a process; null ends it. */
export function useTracer(next: Tracer | null): void {
  tracer = next;
}

/** The span that is open now, for what goes on later and elsewhere; null where nothing is traced. */
export function currentTrace(): TraceParent | null {
  return tracer?.current() ?? null;
}

/** Runs `work` in a span. What `work` throws is noted there and thrown on. */
export function inSpan<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  return tracer === null ? work(NO_SPAN) : tracer.inSpan(name, options, work);
}

/** @returns null for anything that is none: what comes from outside may be anything */
export function parseTraceParent(text: string | undefined): TraceParent | null {
  return text !== undefined && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(text)
    ? (text as TraceParent)
    : null;
}
