import {
  context,
  type Span as OtelSpan,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { parseTraceParent, type SpanOptions, type TraceParent, type Tracer, useTracer } from "./tracing.js";

const KINDS = {
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  client: SpanKind.CLIENT,
} as const;

/** Tries included: a receiver that is away must not hold up a role that stops. */
const EXPORT_WITHIN_MS = 2_000;

/**
 * Sends this process' spans to an OTLP receiver, in batches and in the background. A receiver that is away costs
 * spans and nothing else.
 * @param endpoint without `/v1/traces`
 * @param role told as part of the service's name
 */
export function startOtlpTracing(endpoint: string, role: string): { stop(): Promise<void> } {
  const url = `${endpoint.replace(/\/$/, "")}/v1/traces`;
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: EXPORT_WITHIN_MS });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": `paidonce-${role}`, "process.pid": process.pid }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  provider.register();
  useTracer(otlpTracer());
  return {
    stop: async () => {
      useTracer(null);
      await provider.shutdown().catch(() => undefined);
      // Or a second start in one process would be refused.
      trace.disable();
      context.disable();
      propagation.disable();
    },
  };
}

function otlpTracer(): Tracer {
  const tracer = trace.getTracer("paidonce");
  return {
    current: () => parentOfSpan(trace.getActiveSpan()),
    inSpan: (name, options, work) => {
      const settings = {
        kind: options.kind ? KINDS[options.kind] : SpanKind.INTERNAL,
        attributes: options.facts ?? {},
      };
      return tracer.startActiveSpan(name, settings, parentOf(options), async (span) => {
        try {
          return await work({
            parent: parentOfSpan(span),
            tell: (facts) => span.setAttributes({ ...facts }),
            rename: (better) => span.updateName(better),
          });
        } catch (error) {
          span.recordException(error instanceof Error ? error : String(error));
          span.setStatus({ code: SpanStatusCode.ERROR });
          throw error;
        } finally {
          span.end();
        }
      });
    },
  };
}

/** The active span, unless a parent is named. */
function parentOf({ parent }: SpanOptions) {
  if (parent === undefined || parent === null) return context.active();
  return propagation.extract(context.active(), { traceparent: parent });
}

function parentOfSpan(span: OtelSpan | undefined): TraceParent | null {
  if (span === undefined) return null;
  const { traceId, spanId, traceFlags } = span.spanContext();
  return parseTraceParent(`00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`);
}
