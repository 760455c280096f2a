/** How a server writes its records. */
export type RecordOptions = {
  /** `http://host:port` as the client called us: what links begin with. */
  readonly base: string;
  /** Whether transactions carry their metas, as Horizon's do unless SKIP_TXMETA is set. */
  readonly resultMeta: boolean;
};
