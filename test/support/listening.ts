import { readdir, readFile, readlink } from "node:fs/promises";

const LISTEN = "0A";

/**
 * The addresses on which processes listen for TCP, as /proc shows them. Linux only.
 * @returns hexadecimal addresses as in /proc/net/tcp, without ports, each once
 */
export async function listeningAddresses(pids: readonly number[]): Promise<string[]> {
  const sockets = new Set((await Promise.all(pids.map(socketsOf))).flat());
  const tables = await Promise.all(["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "utf8")));
  const addresses = tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTEN && sockets.has(inode ?? ""))
    .map(([, local = ""]) => local.split(":")[0] ?? "");
  return [...new Set(addresses)].sort();
}

/** 127.0.0.1 and ::1, as /proc/net/tcp and tcp6 write them on a little-endian machine. */
export const LOOPBACK = ["0100007F", "00000000000000000000000001000000"];

async function socketsOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const links = await Promise.all(
    (await readdir(folder).catch(() => [])).map((fd) => readlink(`${folder}/${fd}`).catch(() => "")),
  );
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}
