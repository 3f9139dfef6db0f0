import { NAME, QUEUE_NAMES, type QueueName } from "@loc2vec/core";
import { shared } from "@loc2vec/http";
import type { Queues } from "@loc2vec/queue";
import { QueueEvents } from "bullmq";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { z } from "zod";

const STATES = [
  "waiting",
  "active",
  "delayed",
  "prioritized",
  "failed",
  "completed",
  "waiting-children",
] as const;
const SHARD_SECONDS = [0.1, 0.3, 0.6, 1, 2, 3, 5, 10, 20, 30, 60, 120];
const JOB_SECONDS = [0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 4 * 3600, 24 * 3600];
const STEP_SECONDS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5];
/** Models told apart; beyond it the one not heard of for longest is forgotten. */
const MODELS = 20;
/** Before events are listened to again after one that is not BullMQ's. */
const AGAIN_MS = 1000;

const count = z.int().min(0);
const milliseconds = z.number().min(0);
const shardSchema = z.object({
  tiles: count,
  empty: count,
  quarantined: count,
  bytes: count,
  renderMs: milliseconds,
  encodeMs: milliseconds,
  writeMs: milliseconds,
});
const progressSchema = z.object({
  step: count,
  loss: z.number().optional(),
  stepMs: milliseconds.optional(),
});

function createInstruments() {
  const registry = new Registry();
  const common = <L extends string>(name: string, help: string, labelNames: L[] = []) => ({
    name: `loc2vec_${name}`,
    help,
    labelNames,
    registers: [registry],
  });
  const counter = (name: string, help: string) => new Counter(common(name, help));
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ ...common(name, help), buckets });
  return {
    registry,
    jobs: new Gauge(common("jobs", "Jobs by queue and state", ["queue", "state"])),
    memory: new Gauge(common("redis_used_memory_bytes", "Memory that Redis uses")),
    clients: new Gauge(common("redis_connected_clients", "Connections to Redis")),
    tiles: counter("tiles_total", "Tiles in finished shards"),
    shards: counter("shards_total", "Finished shards"),
    bytes: counter("shard_bytes_total", "Bytes of finished shards"),
    empty: counter("empty_tiles_total", "Tiles without a drawn pixel in finished shards"),
    quarantined: counter("quarantined_locations_total", "Locations set aside in finished shards"),
    failures: new Counter(
      common("job_failures_total", "Failed attempts, whether tried again or not", ["queue"]),
    ),
    jobSeconds: new Histogram({
      ...common("job_seconds", "Last attempt of a job, from its begin to its end", ["queue"]),
      buckets: JOB_SECONDS,
    }),
    render: histogram("render_seconds", "Rendering of a shard", SHARD_SECONDS),
    encode: histogram("encode_seconds", "Compression of a shard", SHARD_SECONDS),
    write: histogram("write_seconds", "Writing of a shard to the store", SHARD_SECONDS),
    loss: new Gauge(common("train_loss", "Loss last reported", ["model"])),
    step: new Gauge(common("train_step", "Training step last reported", ["model"])),
    stepSeconds: histogram("train_step_seconds", "Training step, one for each report", STEP_SECONDS),
  };
}

type Instruments = ReturnType<typeof createInstruments>;

/** Names of all metrics, without what Prometheus adds to those of histograms. */
export const METRIC_NAMES: readonly string[] = createInstruments()
  .registry.getMetricsAsArray()
  .map(({ name }) => name);

export interface Metrics {
  readonly contentType: string;
  /** All metrics in Prometheus' text format; waits for Redis as long as it takes. */
  text(): Promise<string>;
  close(): Promise<void>;
}

/** Counts from now on what happens in the queues. Whatever Redis says is checked, and left out where it does not fit. */
export async function startMetrics(queues: Queues): Promise<Metrics> {
  const instruments = createInstruments();
  for (const queue of QUEUE_NAMES) {
    instruments.failures.inc({ queue }, 0);
    instruments.jobSeconds.zero({ queue });
  }
  const onProgress = trainingProgress(instruments);
  const followed = await Promise.all(
    QUEUE_NAMES.map((name) =>
      follow(queues, name, (events) => {
        // Attempts that were counted, of jobs that will be tried again.
        const counted = new Map<string, number>();
        events.on("completed", ({ jobId, returnvalue }) => {
          counted.delete(jobId);
          if (name === "raster") addShard(instruments, returnvalue);
          observeJob(instruments, queues, name, jobId);
        });
        events.on("failed", ({ jobId }) => {
          counted.delete(jobId);
          instruments.failures.inc({ queue: name });
          observeJob(instruments, queues, name, jobId);
        });
        // BullMQ says `failed` only of the last attempt. One that will be tried again is `delayed`, as is a job that is
        // added with a delay or put off by a worker that cannot do it; only the first has made one attempt more.
        events.on("delayed", async ({ jobId }) => {
          const job = await queues[name].getJob(jobId).catch(() => undefined);
          const made = job?.attemptsMade ?? 0;
          if (made <= (counted.get(jobId) ?? 0)) return;
          counted.set(jobId, made);
          instruments.failures.inc({ queue: name });
        });
        if (name === "train") events.on("progress", ({ jobId, data }) => onProgress(jobId, data));
      }),
    ),
  );
  const read = shared(() => readGauges(instruments, queues));
  return {
    contentType: instruments.registry.contentType,
    async text() {
      await read();
      return instruments.registry.metrics();
    },
    async close() {
      await Promise.all(followed.map((stop) => stop()));
    },
  };
}

/** Listens to a queue from now on; returns what ends it. */
async function follow(
  queues: Queues,
  name: QueueName,
  listen: (events: QueueEvents) => void,
): Promise<() => Promise<void>> {
  const key = queues[name].toKey("events");
  const newest = async (): Promise<string> =>
    (await queues.connection.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "0-0";
  // Not "$": what happens before the first read would be missed.
  let lastEventId = await newest();
  const connection = queues.connection.duplicate();
  const events = new QueueEvents(name, { connection, prefix: queues.prefix, autorun: false });
  events.on("error", () => {}); // An outage is waited out.
  listen(events);
  const stopped = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      Object.assign(events.opts, { lastEventId });
      try {
        await events.run();
      } catch {
        // Anyone can write into the stream, and QueueEvents ends at what is not JSON: go on behind it.
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
        lastEventId = await newest().catch(() => "$");
      }
    }
  };
  run();
  return async () => {
    stopped.abort();
    // In an outage there is no connection whose end QueueEvents could wait for.
    const timeout = new Promise((resolve) => setTimeout(resolve, 300).unref());
    await Promise.race([events.close().catch(() => {}), timeout]);
    connection.disconnect();
  };
}

function addShard(instruments: Instruments, result: unknown): void {
  const shard = shardSchema.safeParse(result).data;
  if (shard === undefined) return;
  instruments.shards.inc();
  instruments.tiles.inc(shard.tiles);
  instruments.bytes.inc(shard.bytes);
  instruments.empty.inc(shard.empty);
  instruments.quarantined.inc(shard.quarantined);
  // A shard that was in the store already took no time at all.
  if (shard.renderMs + shard.encodeMs + shard.writeMs === 0) return;
  instruments.render.observe(shard.renderMs / 1000);
  instruments.encode.observe(shard.encodeMs / 1000);
  instruments.write.observe(shard.writeMs / 1000);
}

/** An event tells nothing of the time, the job does; one that is gone already is left out. */
async function observeJob(
  { jobSeconds }: Instruments,
  queues: Queues,
  queue: QueueName,
  id: string,
): Promise<void> {
  const job = await queues[queue].getJob(id).catch(() => undefined);
  const seconds = ((job?.finishedOn ?? Number.NaN) - (job?.processedOn ?? Number.NaN)) / 1000;
  if (seconds >= 0) jobSeconds.observe({ queue }, seconds);
}

function trainingProgress({ loss, step, stepSeconds }: Instruments): (jobId: string, data: unknown) => void {
  // In the order in which they were last heard of.
  const models = new Set<string>();
  return (jobId, data) => {
    const [model = ""] = jobId.split("@");
    const progress = progressSchema.safeParse(data).data;
    if (!NAME.test(model) || progress === undefined) return;
    models.delete(model);
    models.add(model);
    const [oldest = ""] = models;
    if (models.size > MODELS) {
      models.delete(oldest);
      for (const gauge of [loss, step]) gauge.remove({ model: oldest });
    }
    step.set({ model }, progress.step);
    if (progress.loss !== undefined) loss.set({ model }, progress.loss);
    if (progress.stepMs !== undefined) stepSeconds.observe(progress.stepMs / 1000);
  };
}

async function readGauges({ jobs, memory, clients }: Instruments, queues: Queues): Promise<void> {
  const info = await queues.connection.info();
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
  memory.set(field("used_memory"));
  clients.set(field("connected_clients"));
  for (const queue of QUEUE_NAMES) {
    const [counts, isPaused] = await Promise.all([
      queues[queue].getJobCounts(...STATES),
      queues[queue].isPaused(),
    ]);
    // BullMQ 6 has no such state any more: the jobs of a paused queue wait.
    const { waiting = 0, ...others } = counts;
    const told = { ...others, waiting: isPaused ? 0 : waiting, paused: isPaused ? waiting : 0 };
    for (const [state, value] of Object.entries(told)) jobs.set({ queue, state }, value);
  }
}
