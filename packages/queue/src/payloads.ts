import { FarmError, JOB_SCHEMAS, type JobPayload, type QueueName, type RasterJob } from "@loc2vec/core";

/** A data set, and the identity of the object store that it is in: data sets of two stores may have one name. */
export interface DatasetPlace {
  store: string;
  dataset: string;
}

/** `<dataset>.<shard>@<store>`: the same shard always has the same id, so it cannot be queued twice. */
export function rasterJobId({ store, dataset, shard }: RasterJob): string {
  return `${dataset}.${shard}@${store}`;
}

/** The job that an id names; undefined for an id of any other form. */
export function parseRasterJobId(id: string): RasterJob | undefined {
  const [, dataset, shard, store] = /^(.+)\.(0|[1-9]\d{0,14})@([0-9a-f]{16})$/.exec(id) ?? [];
  if (dataset === undefined || store === undefined) return undefined;
  return { store, dataset, shard: Number(shard) };
}

/** `<dataset>.finalize@<store>`: a data set is finalized by one job. */
export function finalizeJobId({ store, dataset }: DatasetPlace): string {
  return `${dataset}.finalize@${store}`;
}

/** `<model>@<dataset>@<store>`: one per model and data set; `@` is in neither name. */
export function modelJobId({ store, dataset, model }: DatasetPlace & { model: string }): string {
  return `${model}@${dataset}@${store}`;
}

/** The data set that a job works on, told by its id alone; undefined for an id that is none of ours. */
export function datasetOfJob(queue: QueueName, id: string): DatasetPlace | undefined {
  if (queue === "raster") return parseRasterJobId(id);
  const form = queue === "finalize" ? /^(.+)\.finalize@([0-9a-f]{16})$/ : /^[^@]+@([^@]+)@([0-9a-f]{16})$/;
  const [, dataset, store] = form.exec(id) ?? [];
  return dataset === undefined || store === undefined ? undefined : { store, dataset };
}

/** A job's id as people read it: without the store. */
export function jobName(id: string): string {
  return id.replace(/@[0-9a-f]{16}$/, "");
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
