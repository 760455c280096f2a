import { openStellarSide } from "../support/charge-sides.js";
import { describeProof } from "./charge-proof.js";

describeProof("stellar", openStellarSide, {
  "before the call": "charge.before-call",
  "after the call": "charge.after-call",
  "after the credit is in the books": "charge.before-record",
});
