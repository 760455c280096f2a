import { Histogram, type Registry } from "prom-client";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** @returns to be told of each answered request; `route` is the template, never the path: ids would grow without end */
export function httpMetrics(
  registry: Registry,
): (request: { method: string; route: string; status: number; seconds: number }) => void {
  const histogram = new Histogram({
    name: "paidonce_http_request_seconds",
    help: "Time to answer a request, by method, route and status.",
    labelNames: ["method", "route", "status"],
    buckets: SECONDS,
    registers: [registry],
  });
  return ({ method, route, status, seconds }) =>
    histogram.observe({ method, route, status: String(status) }, seconds);
}
