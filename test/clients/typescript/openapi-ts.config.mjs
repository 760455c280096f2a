export default {
  input: "./openapi.json",
  output: { path: "generated", module: { extension: ".js" } },
  plugins: [
    "@hey-api/client-fetch",
    "@hey-api/typescript",
    "valibot",
    // Of requests it looks for headers where its own client keeps none, and refuses each that must have one.
    { name: "@hey-api/sdk", validator: { request: false, response: "valibot" } },
  ],
};
