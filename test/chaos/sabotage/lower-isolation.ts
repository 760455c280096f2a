/** Lowers one defence: transactions are no longer serializable. */
import * as original from "../../../src/postgres/serializable.js";
import { replaceModule } from "./replace-module.js";

export * from "../../../src/postgres/serializable.js";

replaceModule(import.meta.resolve("../../../src/postgres/serializable.js"), import.meta.url);

export const inSerializableTransaction: typeof original.inSerializableTransaction = (
  dataSource,
  work,
  options,
) => {
  const weaker = new Proxy(dataSource, {
    get: (target, name) => {
      if (name !== "createQueryRunner") return Reflect.get(target, name);
      return () => {
        const runner = target.createQueryRunner();
        const start = runner.startTransaction.bind(runner);
        runner.startTransaction = () => start("READ COMMITTED");
        return runner;
      };
    },
  });
  return original.inSerializableTransaction(weaker, work, options);
};
