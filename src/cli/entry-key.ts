import type { Command } from "commander";
import { readConfig } from "../config.js";
import { listEntryKeys, retireOlderKeys, rotateEntryKey } from "../stream/entry-keys.js";
import { openDatabaseNow } from "./open-database.js";
import { print } from "./print.js";

export function addEntryKeyCommand(program: Command): void {
  const keys = program
    .command("entry-key")
    .description("the keys that sign what ingest writes into Redis: nothing else there is ever settled");
  keys
    .command("list")
    .description("which keys there are; never their secrets")
    .action(() => withDatabase(listEntryKeys, (all) => all.map(describe).join("\n")));
  keys
    .command("rotate")
    .description("sign with a new key from now on; entries that the older ones signed are still settled")
    .action(() =>
      withDatabase(
        rotateEntryKey,
        (id) =>
          `key ${id} signs from now on, in every process within 5 s\nwhen the streams are empty: paidonce entry-key retire`,
      ),
    );
  keys
    .command("retire")
    .description("accept the newest key alone: what an older one signed is read from Horizon again")
    .action(() =>
      withDatabase(retireOlderKeys, (ids) =>
        ids.length === 0 ? "there is no older key" : `retired: ${ids.join(", ")}`,
      ),
    );
}

type Opened = Awaited<ReturnType<typeof openDatabaseNow>>;

async function withDatabase<T>(
  work: (manager: Opened["manager"]) => Promise<T>,
  show: (result: T) => string,
): Promise<void> {
  const dataSource = await openDatabaseNow(readConfig(process.env), "entry-key");
  try {
    await print(show(await work(dataSource.manager)));
  } finally {
    await dataSource.destroy();
  }
}

function describe({ id, createdAt, retiredAt }: Awaited<ReturnType<typeof listEntryKeys>>[number]): string {
  const end = retiredAt === null ? "accepted" : `retired ${retiredAt.toISOString()}`;
  return `${id}  made ${createdAt.toISOString()}  ${end}`;
}
