/**
 * Loaded before a consumer: notes when it acknowledges which entries, and writes the list where STAMPS_FILE says when the
 * process ends. An entry is acknowledged once its transaction is committed, so this is a little later than the commit,
 * never earlier, and holds whatever becomes of the SQL. By the monotonic clock, which all processes of a machine share.
 */
import { writeFileSync } from "node:fs";
import { Redis } from "ioredis";

const stamps: string[] = [];
const send = Redis.prototype.sendCommand;

Redis.prototype.sendCommand = function (command, stream) {
  if (command.name === "xack") {
    const at = process.hrtime.bigint();
    for (const id of command.args.slice(2)) stamps.push(`${String(id)} ${at}`);
  }
  return send.call(this, command, stream);
};

process.once("exit", () => writeFileSync(process.env.STAMPS_FILE ?? "", stamps.join("\n")));
