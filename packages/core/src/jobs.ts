import { z } from "zod";
import { NAME, STORE_ID } from "./names.ts";

/** The BullMQ queues of the farm, in the order in which a data set passes them. */
export const QUEUE_NAMES = ["raster", "finalize", "train", "embed"] as const;
export type QueueName = (typeof QUEUE_NAMES)[number];

const name = z
  .string()
  .regex(NAME)
  .refine((value) => !value.includes(".."), "must not hold '..'");
/** Identity of the object store that a job's data set is in. */
const store = z.string().regex(STORE_ID);
const count = z.int().min(1);

/** Which of a model's checkpoints: the best, the last, or that of a step. */
export const CHECKPOINT_SCHEMA = z.union([z.enum(["best", "last"]), count]);
export type CheckpointChoice = z.infer<typeof CHECKPOINT_SCHEMA>;

/**
 * What a job trains, and up to how many steps. The settings of a training stand beside these fields; the trainer's recipe
 * alone knows them, and checks them where a training is queued and where it begins.
 */
const trainingSchema = z.looseObject({ dataset: name, model: name, steps: count });
export type Training = z.infer<typeof trainingSchema>;

/** Payloads of the jobs, by queue: names and numbers, never data. */
export const JOB_SCHEMAS = {
  /** Renders one shard of a data set. */
  raster: z.strictObject({ store, dataset: name, shard: z.int().min(0) }),
  /** Checks every shard, and marks the data set complete; `round` counts how often it had shards rendered again. */
  finalize: z.strictObject({ store, dataset: name, round: z.int().min(0).optional() }),
  /** Trains a model: what `farm train` can be told. */
  train: trainingSchema.extend({ store }),
  /** Embeds every anchor of a data set. */
  embed: z.strictObject({ store, dataset: name, model: name, checkpoint: CHECKPOINT_SCHEMA.optional() }),
} as const satisfies Record<QueueName, z.ZodType>;

export type JobPayload<Q extends QueueName = QueueName> = z.infer<(typeof JOB_SCHEMAS)[Q]>;
export type RasterJob = JobPayload<"raster">;
export type TrainJob = JobPayload<"train">;

/** A location that could not be rendered: its tiles are empty, and nothing is trained on them. */
export interface Quarantined {
  /** Index in the data set. */
  location: number;
  reason: string;
}

/** What a raster job returns. */
export interface ShardResult {
  shard: number;
  tiles: number;
  /** Tiles without a single drawn pixel. */
  empty: number;
  /** Locations set aside, as nothing can render them. */
  quarantined: number;
  /** Size of the shard object. */
  bytes: number;
  /** SHA-256 of the shard object, hex. */
  sha256: string;
  renderMs: number;
  encodeMs: number;
  writeMs: number;
  /** From the job's beginning to its end in the worker. */
  ms: number;
}

/** What a finalize job returns, and what a complete data set says of itself. */
export interface Completion {
  shards: number;
  tiles: number;
  /** Tiles without a single drawn pixel. */
  empty: number;
  /** Size of all shard objects. */
  bytes: number;
  /** Locations set aside. */
  quarantined: number;
}
