import { expect } from "chai";
import { QueryFailedError } from "typeorm";
import { createLogger } from "../src/logging.js";

describe("the log", () => {
  it("says which statement failed and why, and never with which values: they are customers' signed transactions", () => {
    const lines: string[] = [];
    const logger = createLogger({ LOG_LEVEL: "info", LOG_FORMAT: "json" }, "test", {
      write: (line) => void lines.push(line),
    });
    const driverError = Object.assign(new Error("duplicate key"), {
      code: "23505",
      constraint: "submissions_used_once",
      detail: "Key (envelope)=(AAAA-SIGNED) already exists.",
    });
    const failed = new QueryFailedError("INSERT INTO submissions", ["AAAA-SIGNED"], driverError);
    logger.error({ err: failed }, "it failed");
    logger.error({ err: new Error("outer", { cause: failed }) }, "it failed further out");
    logger.error(failed);
    expect(lines).to.have.length(3);
    expect(lines.join("\n")).not.to.include("AAAA-SIGNED");
    expect(JSON.parse(lines[0] ?? "").err).to.include({
      type: "QueryFailedError",
      message: "duplicate key",
      query: "INSERT INTO submissions",
      code: "23505",
      constraint: "submissions_used_once",
    });
  });
});
