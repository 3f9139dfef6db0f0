/** What the board's `/metrics` gives: names of families with their labels. Dashboard and alerts may read nothing else. */
export const METRICS: Readonly<
  Record<string, { type: "gauge" | "counter" | "histogram"; labels: string[] }>
> = {
  loc2vec_jobs: { type: "gauge", labels: ["queue", "state"] },
  loc2vec_tiles_total: { type: "counter", labels: [] },
  loc2vec_shards_total: { type: "counter", labels: [] },
  loc2vec_shard_bytes_total: { type: "counter", labels: [] },
  loc2vec_empty_tiles_total: { type: "counter", labels: [] },
  loc2vec_quarantined_locations_total: { type: "counter", labels: [] },
  loc2vec_job_failures_total: { type: "counter", labels: ["queue"] },
  loc2vec_job_seconds: { type: "histogram", labels: ["queue"] },
  loc2vec_render_seconds: { type: "histogram", labels: [] },
  loc2vec_encode_seconds: { type: "histogram", labels: [] },
  loc2vec_write_seconds: { type: "histogram", labels: [] },
  loc2vec_train_loss: { type: "gauge", labels: ["model"] },
  loc2vec_train_step: { type: "gauge", labels: ["model"] },
  loc2vec_train_step_seconds: { type: "histogram", labels: [] },
  loc2vec_redis_used_memory_bytes: { type: "gauge", labels: [] },
  loc2vec_redis_connected_clients: { type: "gauge", labels: [] },
};

/** The names of the time series that Prometheus stores. */
export const SERIES: ReadonlySet<string> = new Set(
  Object.entries(METRICS).flatMap(([name, { type }]) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);
