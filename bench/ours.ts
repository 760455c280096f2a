import { Redis } from "ioredis";
import { checkRows } from "./check-rows.js";
import { type ConsumerFigures, consumersAtTheStart, figuresOf } from "./consumers.js";
import { paceOf } from "./pace.js";
import type { BenchDatabase, Servers } from "./servers.js";
import { backlog, fillStreams } from "./streams.js";
import { openWorkload, type WorkloadOptions } from "./workload.js";

export type OursOptions = WorkloadOptions & {
  /** `paidonce consume` processes. */
  readonly processes: number;
  /** More of their environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What stands between them and the database; by default nothing. */
  readonly between?: (databaseUrl: string) => Promise<AsyncDisposable & { readonly url: string }>;
};

export type OursResult = ConsumerFigures & { readonly perSecond: number };

/** Entries in the streams → committed, acknowledged and deleted, by the real consumers. Checks the rows. */
export async function measureOurs(servers: Servers, options: OursOptions): Promise<OursResult> {
  await using database: BenchDatabase = await servers.database();
  const { accounts, credits, paying } = await openWorkload(database.dataSource, options);
  const redis = new Redis(servers.redis.url, { maxRetriesPerRequest: null });
  try {
    await redis.flushall();
    await fillStreams(database.dataSource, redis, credits);
    const link = await options.between?.(database.url);
    const roles = await consumersAtTheStart(
      options.processes,
      {
        databaseUrl: link?.url ?? database.url,
        redisUrl: servers.redis.url,
        ...(options.env && { env: options.env }),
      },
      redis,
      accounts,
    );
    try {
      for (const role of roles) role.goOn();
      const perSecond = await paceOf(
        credits.length,
        async () => credits.length - (await backlog(redis, accounts)),
      );
      await checkRows(database.dataSource, { credits: credits.length, payments: paying }, "paidonce");
      return { perSecond, ...(await figuresOf(roles)) };
    } finally {
      await Promise.all(roles.map((role) => role.stop()));
      await link?.[Symbol.asyncDispose]();
    }
  } finally {
    redis.disconnect();
  }
}
