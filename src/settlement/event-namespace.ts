/**
 * Event ids are UUIDv5 in this namespace, of the event's type and session: the same payment gives the same
 * event id in every replica and after Postgres was rebuilt, which is what a receiver deduplicates by (G5).
 * Never change it.
 */
export const EVENT_NAMESPACE = "6f1f3f0e-6a55-4d0c-9d3b-0f8a3a6c2b51";
