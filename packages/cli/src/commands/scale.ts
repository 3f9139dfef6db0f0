import { readFile } from "node:fs/promises";
import { FarmError } from "@loc2vec/core";
import { CHUNK_ROWS } from "@loc2vec/shards";
import { z } from "zod";
import { JOB_TILES } from "../bench/harness.ts";
import type { Context } from "../context.ts";

/** The results of benches that the figures are taken from: one JSON object a line, as `pnpm bench NAME --json` prints it. */
const raster = z.object({
  bench: z.literal("raster"),
  machine: z.object({ cpu: z.string() }),
  map: z.string(),
  density: z.number(),
  fast_ms_per_tile: z.number(),
  core_hours_1p5m: z.number(),
  query_ms_per_location: z.number(),
  fast_rss_mb: z.number(),
});
const shards = z.object({
  bench: z.literal("shards"),
  map: z.string().optional(),
  bytes_per_tile: z.number(),
});
const enqueue = z.object({
  bench: z.literal("enqueue"),
  locations: z.number(),
  seconds: z.number(),
  peak_rss_mb: z.number(),
  redis_mb: z.number(),
  jobs: z.number(),
});
const counts = z.object({ put: z.number(), get: z.number(), head: z.number(), list: z.number() });
const farm = z.object({
  bench: z.literal("farm"),
  efficiency_2: z.number(),
  queue_overhead_pct: z.number(),
  requests: z.object({
    per_shard: counts,
    check_per_shard: counts,
    complete: counts,
    check_mb_per_s: z.number(),
  }),
  simulation: z.object({
    workers: z.number(),
    jobs_per_s: z.number(),
    ideal_jobs_per_s: z.number(),
    redis_cpu_pct: z.number(),
    claim_ms: z.object({ p50: z.number(), p99: z.number() }),
  }),
});
const query = z.object({
  bench: z.literal("query"),
  tables: z.array(
    z.object({
      copies: z.number(),
      features: z.number(),
      query_ms: z.number(),
      p50_ms: z.number(),
      p95_ms: z.number(),
    }),
  ),
});
const lineSchema = z.discriminatedUnion("bench", [raster, shards, enqueue, farm, query]);

export interface ScaleOptions {
  measured: string;
  workers: number;
  coreHour: number;
  putPrice: number;
  getPrice: number;
  gbMonth: number;
}

/** Prints what all 31.5 M tiles take, as Markdown, from measured figures and prices. */
export async function scaleCommand(context: Context, options: ScaleOptions): Promise<void> {
  const lines = (await readFile(options.measured, "utf8").catch(() => ""))
    .split("\n")
    .filter((line) => line.trim() !== "");
  const measured = lines.map((line, at) => {
    const read = JSON.parse(line);
    if (read?.complete === false) {
      throw new FarmError(
        "input",
        `${options.measured}, line ${at + 1}: the bench ${read.bench} was stopped before it had measured all`,
        "run it again to its end",
      );
    }
    const parsed = lineSchema.safeParse(read);
    if (parsed.success) return parsed.data;
    throw new FarmError(
      "input",
      `${options.measured}, line ${at + 1}: ${parsed.error.issues[0]?.path.join(".")}: ${parsed.error.issues[0]?.message}`,
      "what pnpm bench NAME --json prints",
    );
  });
  const of = <B extends (typeof measured)[number]["bench"]>(bench: B) =>
    measured.filter((each): each is Extract<(typeof measured)[number], { bench: B }> => each.bench === bench);
  const [queued, queueing, table] = [of("enqueue")[0], of("farm")[0], of("query")[0]];
  if (queued === undefined || queueing === undefined || table === undefined || of("raster").length === 0) {
    throw new FarmError(
      "input",
      `${options.measured}: lacks a bench`,
      "it needs raster, shards, enqueue, farm and query",
    );
  }
  const sizes = new Map(of("shards").map((each) => [nameOf(each.map ?? ""), each.bytes_per_tile]));
  const { per_shard: each, check_per_shard: check, complete, check_mb_per_s: checkRate } = queueing.requests;
  const jobs = queued.jobs;
  const described = 5 * Math.ceil(queued.locations / CHUNK_ROWS) + 7;
  const puts = Math.round(jobs * each.put + described + complete.put);
  const gets = Math.round(
    jobs * (each.get + each.head + check.get + check.head) + complete.get + complete.head,
  );
  const rows = of("raster").map((run) => {
    const map = nameOf(run.map);
    const bytes = sizes.get(map);
    const gb = bytes === undefined ? undefined : (bytes * JOB_TILES) / 1e9;
    const hours = run.core_hours_1p5m;
    const compute = hours * options.coreHour;
    const requests = (puts * options.putPrice + gets * options.getPrice) / 1000;
    return {
      map: run.density > 1 ? `${map}, ${run.density} times as dense` : map,
      msPerTile: run.fast_ms_per_tile,
      coreHours: hours,
      databaseCoreHours: (run.query_ms_per_location * queued.locations) / 3.6e6,
      minutes: (60 * hours) / options.workers,
      gb,
      checkMinutes: gb === undefined ? undefined : (gb * 1000) / checkRate / 60,
      compute,
      requests,
      perMillion: (compute + requests) / (JOB_TILES / 1e6),
      month: gb === undefined ? undefined : gb * options.gbMonth,
    };
  });
  const result = {
    tiles: JOB_TILES,
    shards: jobs,
    puts,
    gets,
    workers: options.workers,
    prices: pricesOf(options),
    rows,
  };
  const n = (value: number | undefined, digits = 1): string =>
    value === undefined ? "–" : value.toFixed(digits);
  const rss = Math.max(...of("raster").map((run) => run.fast_rss_mb));
  const markdown = `# What 31.5 million tiles take

Printed by \`pnpm -s farm scale\`, from what the benches printed on one machine (${of("raster")[0]?.machine.cpu}, 2 cores): [\`measured.jsonl\`](measured.jsonl), one line a bench. A test prints it again and compares. Measure your own: \`pnpm bench raster --pbf FILE --json >> measured.jsonl\`, likewise \`shards\`, \`enqueue\`, \`farm\`, \`query\`, then \`pnpm farm scale --measured measured.jsonl\`.

Prices are assumptions, not quotes; options set them: a core-hour $${options.coreHour}, 1000 PUTs $${options.putPrice}, 1000 GETs $${options.getPrice}, a GB-month $${options.gbMonth}.

${tableOf(
  [
    "map",
    "ms a tile",
    "core-hours",
    "of them PostgreSQL",
    `minutes on ${options.workers} cores`,
    "GB stored",
    "checking, min",
    "compute $",
    "requests $",
    "$ per million tiles",
    "storage $ a month",
  ],
  rows.map((row) => [
    row.map,
    n(row.msPerTile, 2),
    n(row.coreHours),
    n(row.databaseCoreHours),
    n(row.minutes),
    n(row.gb, 0),
    n(row.checkMinutes),
    n(row.compute, 2),
    n(row.requests, 2),
    n(row.perMillion, 3),
    n(row.month, 2),
  ]),
)}

- **Core-hours** = ms a tile × 31.5 M / 3.6 M, one renderer on one core, which waits for its own queries: both together keep a core busy (\`bench raster\`). _Of them PostgreSQL_ = query ms × 1.5 M / 3.6 M. *Minutes* = 60 × core-hours / cores, were all busy all the time; nodes take minutes to come.
- **Stored** = bytes a tile × 31.5 M (\`bench shards\`, 16 levels). *Checking*: \`finalize\` reads every shard once, ${checkRate} MB/s measured on a local disk, in one process.
- **Requests**: ${jobs} shards. Counted in a run (\`bench farm\`): a shard takes ${n(each.put)} PUT, ${n(each.get)} GET, ${n(each.head)} HEAD; checking it ${n(check.get)} GET. In all ${puts} PUT, ${gets} GET and HEAD. Each epoch of training reads every shard once more.
- **$ per million tiles** = (core-hours × price + PUTs × price / 1000 + GETs × price / 1000) / 31.5. Without storage, the database's idle time, traffic between zones, and nodes that wait.

## Queue

- **Enqueueing** ${queued.locations} locations: ${n(queued.seconds, 0)} s, ${queued.peak_rss_mb} MB of memory, ${queued.redis_mb} MB of Redis for ${queued.jobs} jobs (\`bench enqueue\`).
- **One Redis, ${queueing.simulation.workers} workers** whose jobs sleep 2 s: ${queueing.simulation.jobs_per_s} jobs/s of ${queueing.simulation.ideal_jobs_per_s} possible, a worker's next job after ${queueing.simulation.claim_ms.p50} ms (median; 99 %: ${queueing.simulation.claim_ms.p99} ms), Redis ${queueing.simulation.redis_cpu_pct} % of a core; Redis and all ${queueing.simulation.workers} workers shared 2 cores (\`bench farm\`).
- **What the queue costs**: ${queueing.queue_overhead_pct} % of a worker's time; two workers gave ${queueing.efficiency_2} of twice one, relative to the same two processes without a queue.

## PostgreSQL

${tableOf(
  ["features", "query ms", "median", "95 %"],
  table.tables.map((row) => [String(row.features), n(row.query_ms, 2), n(row.p50_ms, 2), n(row.p95_ms, 2)]),
)}

- The same surroundings in ever larger tables (\`bench query\`: copies of a city all over the world, everything in memory). The index grows by a level for about a hundred times the rows; the tail is where copies overlap. A planet has about a hundred times the last row's features: reckon with a level more. What is *not* measured: a table that does not fit in memory. Then a location costs as many random reads as its features lie on pages; sort locations by place (their order is yours), or give PostgreSQL memory for the region that is rendered.
- A worker has one query at a time in flight, of at most 4 connections. ${options.workers} workers keep ${n(Math.max(...rows.map((row) => (options.workers * row.databaseCoreHours) / row.coreHours)))} cores of PostgreSQL busy at the worst of the maps above: from there on, read replicas (workers only read), and a pooler for the connections: see [infra](../infra/README.md).
- A worker needs one core and ${rss} MB.
`;
  context.result(result, [markdown.trimEnd()]);
}

const nameOf = (map: string): string => map.split("/").at(-1)?.split(".")[0] ?? map;

function pricesOf({ coreHour, putPrice, getPrice, gbMonth }: ScaleOptions): object {
  return { core_hour: coreHour, put_1000: putPrice, get_1000: getPrice, gb_month: gbMonth };
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
