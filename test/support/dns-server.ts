import { createSocket } from "node:dgram";
import { once } from "node:events";

const HEADER_BYTES = 12;
const TYPE_A = 1;

export type DnsServer = {
  /** `address:port`, as a resolver takes it. */
  readonly address: string;
  /** How often it was asked for a name's IPv4 address. */
  asked(name: string): number;
  stop(): Promise<void>;
};

/**
 * A real DNS server on 127.0.0.1 whose answers hold for 0 seconds. It knows IPv4 addresses only.
 * @param answer the address for a name that was asked for so often before; null: there is none
 */
export async function startDns(answer: (asked: number) => string | null): Promise<DnsServer> {
  const counts = new Map<string, number>();
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const { name, type, end } = questionOf(query);
    let address: string | null = null;
    if (type === TYPE_A) {
      const asked = counts.get(name) ?? 0;
      counts.set(name, asked + 1);
      address = answer(asked);
    }
    socket.send(replyTo(query.subarray(0, end), address), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked: (name) => counts.get(name) ?? 0,
    stop: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** RFC 1035, section 4: the question again, and one record or none. */
function replyTo(question: Buffer, address: string | null): Buffer {
  const reply = Buffer.from(question);
  reply.writeUInt16BE(0x8180, 2);
  reply.writeUInt16BE(1, 4);
  reply.writeUInt16BE(address === null ? 0 : 1, 6);
  reply.writeUInt32BE(0, 8);
  if (address === null) return reply;
  // Name: as in the question; type A, class IN, 0 seconds, 4 bytes.
  const record = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4]);
  return Buffer.concat([reply, record, Buffer.from(address.split(".").map(Number))]);
}
