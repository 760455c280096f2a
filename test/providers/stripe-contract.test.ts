import { describeProvider } from "./contract.js";
import { openStripeStage } from "./stripe-stage.js";

describeProvider("stripe", () => openStripeStage(), { prepares: true, without: [] });
