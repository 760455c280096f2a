/** A job queue instead of a stream: one job per payment, the same transaction, no lock. */
import { Worker } from "bullmq";
import { BULLMQ_QUEUE } from "./names.js";
import { type Message, settleOne } from "./one-payment.js";
import { runPeer } from "./peer.js";

await runPeer(async ({ redisUrl, concurrency }, dataSource, acknowledged) => {
  const worker = new Worker<Message>(BULLMQ_QUEUE, async ({ data }) => settleOne(dataSource, data), {
    connection: { url: redisUrl, maxRetriesPerRequest: null },
    concurrency,
    autorun: false,
    removeOnComplete: { count: 0 },
  });
  worker.on("completed", acknowledged);
  worker.on("error", (error) => process.stderr.write(`${error.message}\n`));
  await worker.waitUntilReady();
  return { go: () => worker.run() };
});
