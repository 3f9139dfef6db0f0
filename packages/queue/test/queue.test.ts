import { FarmError, type ShardResult } from "@loc2vec/core";
import { UnrecoverableError, Worker } from "bullmq";
import { expect, onTestFinished, test } from "vitest";
import {
  ATTEMPTS,
  enqueueShards,
  type FarmQueues,
  parsePayload,
  rasterProgress,
  retryFailed,
  shardsInState,
} from "../src/index.ts";
import { waitForDataset } from "../src/progress.ts";
import { freshQueues, STORE } from "./helpers.ts";

const HOSTILE = [
  "",
  ".",
  "..",
  "../x",
  "a..b",
  "a/b",
  "a\\b",
  "/etc",
  "A",
  "a b",
  "a\0",
  "a\n",
  "a:b",
  "*",
  "-a",
  "_a",
  "é",
  "x".repeat(64),
  "%2e%2e",
  "$(x)",
];

const RESULT: Omit<ShardResult, "shard"> = {
  tiles: 21,
  empty: 0,
  bytes: 1,
  sha256: "",
  renderMs: 1,
  encodeMs: 1,
  writeMs: 1,
  ms: 3,
  quarantined: 0,
};

/** A real BullMQ worker with a processor of the test. */
function work(queues: FarmQueues, action: (shard: number, attempt: number) => void): Worker {
  const worker = new Worker(
    "raster",
    async (job) => {
      action(job.data.shard, job.attemptsMade);
      return { shard: job.data.shard, ...RESULT };
    },
    { connection: queues.connection, prefix: queues.prefix },
  );
  onTestFinished(() => worker.close());
  return worker;
}

test("enqueueing twice, and twice at once, adds nothing twice", async () => {
  const queues = await freshQueues();
  const shards = Array.from({ length: 2500 }, (_, i) => i);
  expect(await enqueueShards(queues, "city", shards)).toEqual({ added: 2500, retried: 0, queued: 0 });
  expect(await enqueueShards(queues, "city", shards)).toEqual({ added: 0, retried: 0, queued: 2500 });
  await Promise.all([enqueueShards(queues, "town", shards), enqueueShards(queues, "town", shards)]);
  expect((await queues.raster.getJobCounts("waiting")).waiting).toBe(5000);
  expect((await rasterProgress(queues, "town")).waiting).toBe(2500);
  const job = await queues.raster.getJob(`city.17@${STORE}`);
  expect(job?.data).toEqual({ store: STORE, dataset: "city", shard: 17 });
  expect(job?.opts).toMatchObject({ attempts: ATTEMPTS, backoff: { type: "exponential", jitter: 0.5 } });
});

test("hostile names and payloads are refused on the way in and on the way out", async () => {
  const queues = await freshQueues();
  for (const name of HOSTILE) {
    await expect(enqueueShards(queues, name, [0]), name).rejects.toThrow(FarmError);
    await expect(rasterProgress(queues, name), name).rejects.toThrow(FarmError);
    expect(() => parsePayload("raster", "job x", { store: STORE, dataset: name, shard: 0 }), name).toThrow(
      /^job x/,
    );
  }
  for (const payload of [
    null,
    "city",
    {},
    { store: STORE, dataset: "city" },
    { store: STORE, dataset: "city", shard: -1 },
    { store: STORE, dataset: "city", shard: 0.5 },
    { store: STORE, dataset: "city", shard: "0" },
    { store: STORE, dataset: "city", shard: 0, command: "rm" },
    { dataset: "city", shard: 0 },
    { store: "../etc", dataset: "city", shard: 0 },
  ]) {
    expect(() => parsePayload("raster", "job x", payload)).toThrow(FarmError);
  }
  expect(await queues.raster.count()).toBe(0);
});

test("an error is retried with growing delays until it is given up, with its reason; then it can be put back", async () => {
  const queues = await freshQueues();
  await enqueueShards(queues, "city", [0, 1, 2]);
  await enqueueShards(queues, "town", [0]);
  const attempts = new Map<number, number>();
  let healed = false;
  work(queues, (shard, attempt) => {
    attempts.set(shard, attempt + 1);
    if (healed) return;
    if (shard === 1) throw new Error("store is down");
    if (shard === 2) throw new UnrecoverableError("no such data set");
  });
  const seen: string[] = [];
  const { failed } = await waitForDataset(queues, "city", {
    onProgress: (progress) => seen.push(`${progress.open} ${progress.failed}`),
  });
  expect(failed).toBe(2);
  expect(seen.at(-1)).toBe("0 2");
  expect(attempts.get(1)).toBe(ATTEMPTS);
  expect(attempts.get(2)).toBe(1);
  const progress = await rasterProgress(queues, "city");
  expect(progress).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 2 });
  expect(progress.failures).toEqual([
    { shard: 1, reason: "store is down", attempts: ATTEMPTS, retrying: false },
    { shard: 2, reason: "no such data set", attempts: 1, retrying: false },
  ]);

  healed = true;
  expect(await enqueueShards(queues, "city", [1])).toEqual({ added: 0, retried: 1, queued: 0 });
  expect((await waitForDataset(queues, "city")).failed).toBe(1);
  expect(await retryFailed(queues, "city")).toEqual({ raster: 1, finalize: 0, train: 0, embed: 0 });
  expect((await waitForDataset(queues, "city")).failed).toBe(0);
  expect(await shardsInState(queues, "city", ["completed"])).toEqual(new Set([0, 1, 2]));
  expect((await rasterProgress(queues, "city")).rate?.tilesPerSecond).toBeGreaterThan(0);
});

test("a shard that was lost after its job ended is queued again", async () => {
  const queues = await freshQueues();
  await enqueueShards(queues, "city", [0]);
  let runs = 0;
  work(queues, () => void runs++);
  await waitForDataset(queues, "city");
  expect(await enqueueShards(queues, "city", [0])).toEqual({ added: 1, retried: 0, queued: 0 });
  await waitForDataset(queues, "city");
  expect(runs).toBe(2);
});

test("waiting ends with the signal", async () => {
  const queues = await freshQueues();
  await enqueueShards(queues, "city", [0]);
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error("enough")), 50);
  await expect(waitForDataset(queues, "city", { signal: abort.signal })).rejects.toThrow("enough");
});
