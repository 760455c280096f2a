export const REDIS_BACKENDS = ["single", "cluster", "sentinel"] as const;
export type RedisBackend = (typeof REDIS_BACKENDS)[number];

/** One of what TEST_REDIS may say. @throws Error for a word that is none of them */
export function redisBackend(word: string): RedisBackend {
  const backend = REDIS_BACKENDS.find((one) => one === word);
  if (backend === undefined) throw new Error(`TEST_REDIS: got ${word}, wants ${REDIS_BACKENDS.join(", ")}`);
  return backend;
}
