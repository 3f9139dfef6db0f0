import { FarmError, JOB_SCHEMAS, type JobPayload, type QueueName, type RasterJob } from "@loc2vec/core";

/** `<dataset>.<shard>`: the same shard always has the same id, so it cannot be queued twice. */
export function rasterJobId({ dataset, shard }: RasterJob): string {
  return `${dataset}.${shard}`;
}

/** The job that an id names; undefined for an id of any other form. */
export function parseRasterJobId(id: string): RasterJob | undefined {
  const [, dataset, shard] = /^(.+)\.(0|[1-9]\d{0,14})$/.exec(id) ?? [];
  return dataset === undefined ? undefined : { dataset, shard: Number(shard) };
}

/** One per data set: it is finalized by one job. */
export function finalizeJobId(dataset: string): string {
  return `${dataset}.finalize`;
}

/** One per model and data set; `@` is in neither name. */
export function modelJobId({ dataset, model }: { dataset: string; model: string }): string {
  return `${model}@${dataset}`;
}

/**
 * Checks a payload; on both sides of a queue, as anyone with access to Redis can write into it.
 *
 * @param place for the message, e.g. `job city.3`
 * @throws FarmError `data` naming the field
 */
export function parsePayload<Q extends QueueName>(queue: Q, place: string, payload: unknown): JobPayload<Q> {
  const parsed = JOB_SCHEMAS[queue].safeParse(payload);
  if (parsed.success) return parsed.data as JobPayload<Q>;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new FarmError(
    "data",
    `${place}: not a ${queue} job${field === "" ? "" : `, field ${field}`}: ${issue?.message}`,
    "remove the job; pnpm farm:enqueue writes good ones",
  );
}
