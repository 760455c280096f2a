/**
 * Waits for several processes that are being started.
 * @throws what the first of them threw; then none of the others is left running
 */
export async function startAll<T>(
  starting: readonly Promise<T>[],
  end: (started: T) => Promise<void>,
): Promise<T[]> {
  const results = await Promise.allSettled(starting);
  const started = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return started;
  await Promise.all(started.map(end));
  throw failed.reason;
}
