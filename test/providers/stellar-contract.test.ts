import { describeProvider } from "./contract.js";
import type { FaultName } from "./provider-stage.js";
import { openStellarStage } from "./stellar-stage.js";

const WITHOUT: readonly FaultName[] = [
  // The provider never refuses, since the payer holds the transaction too.
  "unreachable",
  "busy",
  // Horizon keeps no answers under keys.
  "error_kept",
  // The sandbox network has no such faults.
  "late",
  "slow_answer",
  "dropped_after",
  "twice",
];

describeProvider("stellar", openStellarStage, { prepares: false, without: WITHOUT });
