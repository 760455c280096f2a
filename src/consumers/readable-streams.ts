import type { Logger } from "pino";
import type { RedisClient } from "../redis/client.js";
import { ensureGroup, isNoStreamError } from "../stream/consumer-group.js";
import type { StreamName } from "../stream/stream-keys.js";

/**
 * Leaves out streams whose key holds something else, whoever wrote it: Redis answers no command that names such a key among
 * others, so that nobody's credits would be read. Each is said once, and tried again with every look.
 */
export class ReadableStreams {
  readonly #redis: RedisClient;
  readonly #logger: Logger;
  readonly #unreadable = new Set<StreamName>();

  constructor({ redis, logger }: { readonly redis: RedisClient; readonly logger: Logger }) {
    this.#redis = redis;
    this.#logger = logger;
  }

  /**
   * @param known their groups were made before
   * @returns those whose group is there now
   * @throws what Redis says otherwise
   */
  async among(streams: readonly StreamName[], known: ReadonlySet<StreamName>): Promise<StreamName[]> {
    const readable: StreamName[] = [];
    for (const stream of streams) {
      try {
        if (!known.has(stream)) await ensureGroup(this.#redis, stream);
        readable.push(stream);
        this.#unreadable.delete(stream);
      } catch (error) {
        if (!isNoStreamError(error)) throw error;
        this.#say(stream);
      }
    }
    return readable;
  }

  #say(stream: StreamName): void {
    if (this.#unreadable.has(stream)) return;
    this.#unreadable.add(stream);
    this.#logger.error(
      { alarm: true, stream },
      "a stream's key holds something else: delete it, ingest writes the stream anew",
    );
  }
}
