// A worker as a process of its own, to be killed: node process.ts REDIS_URL PREFIX STORE_URL LOCK_MS MS_PER_LOCATION
import { setTimeout as sleep } from "node:timers/promises";
import { openStore } from "@loc2vec/shards";
import { runWorker } from "../src/index.ts";
import { stripes } from "./rasterizer.ts";

const [redisUrl, prefix, storeUrl, lockMs, perLocation] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
let announced = false;
const summary = await runWorker({
  redisUrl,
  prefix,
  store: openStore(storeUrl),
  rasterizer: stripes(async () => {
    if (!announced) console.log("rendering");
    announced = true;
    await sleep(Number(perLocation));
  }),
  lockMs: Number(lockMs),
  graceMs: 500,
  signal: stop.signal,
});
console.log(JSON.stringify(summary));
