/** `npm run docs`: writes docs/configuration.md anew from `src/config.ts`. */
import { writeFileSync } from "node:fs";
import { CONFIGURATION_PAGE, configurationPage } from "./configuration-page.js";

writeFileSync(CONFIGURATION_PAGE, configurationPage());
