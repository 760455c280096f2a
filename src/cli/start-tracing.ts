import type { Telemetry } from "bullmq";
import type { Config } from "../config.js";

export type Tracing = {
  /** For BullMQ, which brings the trace from the queue to the worker. */
  readonly telemetry: Telemetry | undefined;
  /** Sends what is left. */
  stop(): Promise<void>;
};

/** Traces, where OTEL_EXPORTER_OTLP_ENDPOINT says so; loaded only then. */
export async function startTracing(config: Config, role: string): Promise<Tracing> {
  const endpoint = config.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return { telemetry: undefined, stop: async () => {} };
  const [{ startOtlpTracing }, { BullMQOtel }] = await Promise.all([
    import("../tracing-otlp.js"),
    import("bullmq-otel"),
  ]);
  const { stop } = startOtlpTracing(endpoint, role);
  return { telemetry: new BullMQOtel({ tracerName: "paidonce" }), stop };
}
