import type { ShardResult } from "@loc2vec/core";
import { modelJobId, rasterJobId } from "@loc2vec/queue";
import { DelayedError, UnrecoverableError } from "bullmq";
import { expect, test } from "vitest";
import { METRIC_NAMES } from "../src/index.ts";
import { ask, freshBoard, freshQueues, metricsOf, PASSWORD, STORE, work } from "./helpers.ts";

const result = (shard: number): ShardResult => ({
  shard,
  tiles: 210,
  empty: 20,
  quarantined: 1,
  bytes: 5000,
  sha256: "",
  renderMs: 4000,
  encodeMs: 1500,
  writeMs: 50,
});

/** The names that the Grafana dashboard uses. */
const DASHBOARD = [
  "loc2vec_jobs",
  "loc2vec_redis_used_memory_bytes",
  "loc2vec_redis_connected_clients",
  "loc2vec_tiles_total",
  "loc2vec_shards_total",
  "loc2vec_shard_bytes_total",
  "loc2vec_empty_tiles_total",
  "loc2vec_quarantined_locations_total",
  "loc2vec_job_failures_total",
  "loc2vec_job_seconds",
  "loc2vec_render_seconds",
  "loc2vec_encode_seconds",
  "loc2vec_write_seconds",
  "loc2vec_train_loss",
  "loc2vec_train_step",
  "loc2vec_train_step_seconds",
];

test("every metric is there from the first scrape, and nothing else", async () => {
  const board = await freshBoard();
  const { text, headers } = await ask(`${board.url}/metrics`, { as: PASSWORD });
  expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
  const described = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  expect(described.sort()).toEqual([...DASHBOARD].sort());
  expect([...METRIC_NAMES].sort()).toEqual([...DASHBOARD].sort());
  const metrics = await metricsOf(board);
  for (const queue of ["raster", "finalize", "train", "embed"]) {
    for (const state of "waiting active delayed prioritized failed completed waiting-children paused".split(
      " ",
    ))
      expect(metrics.get(`loc2vec_jobs{queue="${queue}",state="${state}"}`), state).toBe(0);
    expect(metrics.get(`loc2vec_job_failures_total{queue="${queue}"}`)).toBe(0);
    expect(metrics.get(`loc2vec_job_seconds_count{queue="${queue}"}`)).toBe(0);
  }
  expect(metrics.get("loc2vec_redis_used_memory_bytes")).toBeGreaterThan(100_000);
  expect(metrics.get("loc2vec_redis_connected_clients")).toBeGreaterThan(1);
});

test("shards, failed attempts and times are counted once each", async () => {
  const queues = await freshQueues();
  const add = (shard: number, delay = 0) =>
    queues.raster.add(
      "shard",
      { store: STORE, dataset: "city", shard },
      { jobId: rasterJobId({ store: STORE, dataset: "city", shard }), delay },
    );
  // Before the board: not counted.
  let putOff = 0;
  const worker = work(queues, "raster", async (job, token) => {
    const { shard } = job.data;
    if (shard === 0 && job.attemptsMade === 0) throw new Error("not yet");
    // As a worker does that has another map.
    if (shard === 0 && putOff++ < 2) {
      await job.moveToDelayed(Date.now() + 50, token);
      throw new DelayedError();
    }
    if (shard === 1 && job.attemptsMade < 2) throw new Error("not yet");
    if (shard === 2) throw new UnrecoverableError("never");
    if (shard === 3) return { ...result(3), tiles: -1 };
    if (shard === 4) return "done";
    if (shard === 5) return { ...result(5), renderMs: 0, encodeMs: 0, writeMs: 0 };
    await new Promise((resolve) => setTimeout(resolve, 20));
    return result(shard);
  });
  const done = new Promise((resolve) => worker.once("completed", resolve));
  await add(99);
  await done;
  const board = await freshBoard({ queues });
  for (const shard of [0, 1, 2, 3, 4, 5]) await add(shard);

  await add(6, 3_600_000);
  const seconds = 'loc2vec_job_seconds_count{queue="raster"}';
  await expect.poll(async () => (await metricsOf(board)).get(seconds), { timeout: 10_000 }).toBe(6);
  const values = await metricsOf(board);
  expect(Object.fromEntries(values)).toMatchObject({
    loc2vec_shards_total: 3,
    loc2vec_tiles_total: 630,
    loc2vec_shard_bytes_total: 15_000,
    loc2vec_empty_tiles_total: 60,
    loc2vec_quarantined_locations_total: 3,
    // Three that were tried again, one that was not; jobs added with a delay, or put off, are none.
    'loc2vec_job_failures_total{queue="raster"}': 4,
    'loc2vec_job_failures_total{queue="train"}': 0,
    // A shard that was there already took no time.
    loc2vec_render_seconds_count: 2,
    loc2vec_render_seconds_sum: 8,
    'loc2vec_render_seconds_bucket{le="3"}': 0,
    'loc2vec_render_seconds_bucket{le="5"}': 2,
    loc2vec_encode_seconds_sum: 3,
    loc2vec_write_seconds_count: 2,
    'loc2vec_jobs{queue="raster",state="failed"}': 1,
    'loc2vec_jobs{queue="raster",state="completed"}': 6,
    'loc2vec_jobs{queue="raster",state="delayed"}': 1,
  });
  const sum = values.get('loc2vec_job_seconds_sum{queue="raster"}');
  expect(sum).toBeGreaterThan(0.03);
  expect(sum).toBeLessThan(5);
});

test("the jobs of a paused queue are paused, not waiting", async () => {
  const board = await freshBoard();
  await board.queues.embed.add("embed", { store: STORE, dataset: "city", model: "m" });
  const state = (name: string) => `loc2vec_jobs{queue="embed",state="${name}"}`;
  expect((await metricsOf(board)).get(state("waiting"))).toBe(1);
  await board.queues.embed.pause();
  const metrics = await metricsOf(board);
  expect(metrics.get(state("waiting"))).toBe(0);
  expect(metrics.get(state("paused"))).toBe(1);
});

test("training is followed by model, by a few of them, and only where it makes sense", async () => {
  const board = await freshBoard();
  const { queues } = board;
  work(queues, "train", async (job) => {
    const i = Number(/\d+/.exec(job.id ?? "")?.[0] ?? 0);
    await job.updateProgress({ step: 10 + i, of: 100, loss: 0.5, stepMs: 240 });
    for (const junk of [
      7,
      "x",
      { step: -1 },
      { step: 1.5, loss: 1 },
      { step: 99, loss: "low" },
      { loss: 0.1 },
    ])
      await job.updateProgress(junk);
  });
  const train = (jobId: string) => queues.train.add("train", {} as never, { jobId });
  for (let i = 0; i < 25; i++) await train(modelJobId({ store: STORE, dataset: "city", model: `m${i}` }));
  for (const id of ["Bad Name@city", 'x"} 1@city', `${"x".repeat(64)}@city`, "@city"]) await train(id);
  const completed = 'loc2vec_job_seconds_count{queue="train"}';
  await expect.poll(async () => (await metricsOf(board)).get(completed), { timeout: 10_000 }).toBe(29);
  const metrics = await metricsOf(board);
  const models = [...metrics.keys()].filter((name) => name.startsWith("loc2vec_train_step{"));
  expect(models.sort()).toEqual(
    Array.from({ length: 20 }, (_, i) => `loc2vec_train_step{model="m${i + 5}"}`).sort(),
  );
  expect(metrics.get('loc2vec_train_step{model="m24"}')).toBe(34);
  expect(metrics.get('loc2vec_train_loss{model="m24"}')).toBe(0.5);
  expect([...metrics.keys()].filter((name) => name.startsWith("loc2vec_train_loss{"))).toHaveLength(20);
  expect(metrics.get("loc2vec_train_step_seconds_count")).toBe(25);
  expect(metrics.get("loc2vec_train_step_seconds_sum")).toBeCloseTo(6, 5);
});

test("what is not an event of BullMQ's does not end the counting", async () => {
  const board = await freshBoard();
  const { queues } = board;
  work(queues, "raster", async (job) => result(job.data.shard));
  const stream = queues.raster.toKey("events");
  const fake = (...fields: string[]) => queues.connection.xadd(stream, "*", ...fields);
  await fake("event", "error", "jobId", "x");
  await fake("event", "completed", "jobId", "gone", "returnvalue", "null");
  await fake("event", "completed", "jobId", "gone", "returnvalue", "{not json");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await queues.raster.add("shard", { store: STORE, dataset: "city", shard: 1 });
  await expect
    .poll(async () => (await metricsOf(board)).get("loc2vec_shards_total"), { timeout: 5000 })
    .toBe(1);
});
