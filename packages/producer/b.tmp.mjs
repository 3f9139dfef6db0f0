import { openRasterQueue } from "@loc2vec/queue";
import { openStore } from "@loc2vec/shards";
import { enqueueDataset } from "./dist/index.js";

const q = await openRasterQueue({ redisUrl: "redis://127.0.0.1:46999", prefix: "bench" });
const N = 1_500_000;
async function* locs() {
  for (let i = 0; i < N; i++)
    yield {
      lon: ((i * 7919) % 360000) / 1000 - 180,
      lat: ((i * 104729) % 180000) / 1000 - 90,
      kind: "visit",
    };
}
const dataset = {
  version: 1,
  name: "big",
  seed: 1,
  locations: N,
  samples: 21,
  shardLocations: 64,
  channels: Array.from({ length: 12 }, (_, i) => "c" + i),
  pixels: 128,
  radius: 100,
  augmentation: { maxOffset: 80, rotate: true },
  renderer: "x",
  styleHash: "x",
  attribution: "x",
};
let peak = 0;
setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 100).unref();
const mem = async () => Number(/used_memory:(\d+)/.exec(await q.connection.info("memory"))[1]) / 1e6;
const m0 = await mem();
for (let k = 0; k < 2; k++) {
  const t = performance.now();
  const stages = {};
  const r = await enqueueDataset({
    store: openStore("file:///tmp/benchstore"),
    dataset,
    locations: locs(),
    queue: q,
    progress: (s) => (stages[s] = ((performance.now() - t) / 1e3).toFixed(1)),
  });
  console.log(
    r,
    stages,
    "s",
    (performance.now() - t) / 1e3,
    "peak MB",
    peak / 1e6,
    "max rss MB",
    process.resourceUsage().maxRSS / 1e3,
    "redis MB",
    (await mem()) - m0,
  );
}
await q.queue.obliterate({ force: true });
await q.close();
