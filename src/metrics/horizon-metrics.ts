import { Counter, type Registry } from "prom-client";
import type { RequestObserver } from "../horizon/http.js";

/** What one process asks of Horizon, by what for and with what result: a status, or why there was none. */
export function horizonMetrics(registry: Registry): RequestObserver {
  const registers = [registry];
  const requests = new Counter({
    name: "paidonce_horizon_requests_total",
    help: "Requests to Horizon, by what they were for and how they ended (HTTP status, or why there was no whole answer).",
    labelNames: ["purpose", "outcome"],
    registers,
  });
  const bytes = new Counter({
    name: "paidonce_horizon_bytes_total",
    help: "Bytes of Horizon's answers, after decompression.",
    labelNames: ["purpose"],
    registers,
  });
  return {
    answered: (purpose, status, size) => {
      requests.inc({ purpose, outcome: String(status) });
      bytes.inc({ purpose }, size);
    },
    failed: (purpose, { kind, status }) => {
      // An answer's status is counted already.
      if (status === null) requests.inc({ purpose, outcome: kind });
    },
  };
}
