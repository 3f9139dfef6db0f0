import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { FARM_MAIN } from "@loc2vec/cli";
import { FarmError, Purpose, QUEUE_NAMES, randomOf } from "@loc2vec/core";
import { type FarmContext, machine } from "@loc2vec/farm";
import { closeRedis, connectRedis, openQueues } from "@loc2vec/queue";
import { defineBench, locationsOption, type MapOptions, mapOption } from "../bench.ts";
import { forkTied } from "../children.ts";
import { withMap } from "../map.ts";
import { withBenchServices } from "../services.ts";

/** Degrees: west, south, east, north. */
type Bbox = readonly [number, number, number, number];

interface EnqueueSubject {
  redisUrl: string;
  /** With a map, in whose area the locations lie. */
  databaseUrl: string;
  bbox: Bbox;
  locations: number;
}

export const enqueue = defineBench({
  name: "enqueue",
  description: "time and memory that farm enqueue takes for 1.5 M locations",
  options: (command) => command.addOption(mapOption()).addOption(locationsOption(1_500_000)),
  measure: (context, { pbf, locations }: MapOptions & { locations: number }) =>
    withMap(context, pbf, ({ databaseUrl, bbox }) =>
      withBenchServices(context, ["redis"], ({ redisUrl }) =>
        measureEnqueue(context, { redisUrl, databaseUrl, bbox, locations }),
      ),
    ),
});

/** `farm enqueue` as a process of its own, from a CSV file to a data set and a filled queue, which are removed after. */
async function measureEnqueue(
  { config, log, signal }: FarmContext,
  { redisUrl, databaseUrl, bbox, locations }: EnqueueSubject,
): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  const prefix = `bench-${process.pid}`;
  const queues = await openQueues({ redisUrl, prefix });
  try {
    const csv = join(folder, "locations.csv");
    log(`bench: writing ${locations} locations`);
    await writeCsv(csv, locations, bbox);
    const before = await usedMemory(redisUrl);
    const settings = {
      FARM_HOME: config.home,
      FARM_REDIS_URL: redisUrl,
      FARM_DATABASE_URL: databaseUrl,
      FARM_STORE: pathToFileURL(join(folder, "store")).href,
      FARM_QUEUE_PREFIX: prefix,
    };
    const args = ["enqueue", "--dataset", "bench", "--locations", csv, "--json", "--quiet"];
    const first = await timed(args, settings, signal);
    const redis = (await usedMemory(redisUrl)) - before;
    const again = await timed(args, settings, signal);
    return {
      machine: machine(),
      locations,
      seconds: Number(first.seconds.toFixed(1)),
      peak_rss_mb: first.peakRssMb,
      redis_mb: Number((redis / 2 ** 20).toFixed(1)),
      jobs: first.result.added,
      // The same again, as after a crash: every location is read and compared, nothing is added.
      again_seconds: Number(again.seconds.toFixed(1)),
      again_added: again.result.added,
    };
  } finally {
    for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
    await queues.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeCsv(path: string, count: number, [west, south, east, north]: Bbox): Promise<void> {
  const out = createWriteStream(path);
  const random = randomOf(1, Purpose.sampleLocations);
  out.write("lon,lat,kind\n");
  for (let i = 0; i < count; i++) {
    const [lon, lat] = [west + (east - west) * random.uniform(), south + (north - south) * random.uniform()];
    const line = `${lon.toFixed(7)},${lat.toFixed(7)},${i % 3 === 2 ? "transport" : "visit"}\n`;
    if (!out.write(line)) await new Promise((resolve) => out.once("drain", () => resolve(undefined)));
  }
  await new Promise((resolve) => out.end(() => resolve(undefined)));
}

async function usedMemory(redisUrl: string): Promise<number> {
  const client = await connectRedis(redisUrl);
  try {
    return Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]);
  } finally {
    await closeRedis(client);
  }
}

async function timed(
  args: readonly string[],
  settings: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ seconds: number; peakRssMb: number; result: { added: number } }> {
  const begin = performance.now();
  const child = forkTied(FARM_MAIN, args, {
    env: { ...process.env, ...settings },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const stop = (): void => void child.kill();
  signal.addEventListener("abort", stop);
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let code: number | null | undefined;
  ended.then((exitCode) => {
    code = exitCode;
  });
  let peak = 0;
  while (code === undefined) {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0));
    await Promise.race([ended, sleep(100)]);
  }
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
  if (code !== 0) throw new FarmError("internal", `farm enqueue ended with ${code}`);
  const seconds = (performance.now() - begin) / 1000;
  return {
    seconds,
    peakRssMb: Math.round(peak / 1024),
    result: JSON.parse(output.trim().split("\n").at(-1) ?? ""),
  };
}
