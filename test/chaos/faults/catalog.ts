import type { Fault } from "./fault.js";
import { HORIZON_FAULTS } from "./horizon.js";
import { LINK_FAULTS } from "./links.js";
import { POSTGRES_FAULTS } from "./postgres.js";
import { REDIS_FAULTS } from "./redis.js";
import { REDIS_CLUSTER_FAULTS } from "./redis-cluster.js";
import { ROLE_FAULTS } from "./roles.js";

/** Everything that the driver can do; the rows of the design's table and more. */
export const FAULTS: readonly Fault[] = [
  ...ROLE_FAULTS,
  ...REDIS_FAULTS,
  ...REDIS_CLUSTER_FAULTS,
  ...POSTGRES_FAULTS,
  ...LINK_FAULTS,
  ...HORIZON_FAULTS,
];

/** @throws Error for a name that is none of theirs */
export function faultNamed(name: string): Fault {
  const fault = FAULTS.find((one) => one.name === name);
  if (fault === undefined) throw new Error(`no fault is called ${name}`);
  return fault;
}
