import { openStripeSide } from "../support/charge-sides.js";
import { describeProof } from "./charge-proof.js";

// The first call names the charge at Stripe, and the second one moves the money.
describeProof("stripe", openStripeSide, {
  "before the call that names it": "charge.before-call",
  "after the call that names it": "charge.after-call",
  "before the call that moves the money": "charge.before-call@2",
  "after the call that moves the money": "charge.after-call@2",
  "after the call, before the write": "charge.before-record",
});
