import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type CommandContext, defineCommand, positive, whole } from "@loc2vec/cli";
import { FarmError } from "@loc2vec/core";
import { ROOT } from "@loc2vec/farm";
import { CHUNK_ROWS } from "@loc2vec/shards";
import { z } from "zod";
import { JOB_TILES } from "../harness.ts";

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

type Measured = z.infer<typeof lineSchema>;
type Result<B extends Measured["bench"]> = Extract<Measured, { bench: B }>;

/** The results of all benches that the figures need. */
interface Results {
  raster: readonly Result<"raster">[];
  shards: readonly Result<"shards">[];
  enqueue: Result<"enqueue">;
  farm: Result<"farm">;
  query: Result<"query">;
}

interface ScaleOptions {
  /** Path of the results. */
  measured: string;
  /** Cores that render. */
  workers: number;
  /** Price of a core-hour, US dollars. */
  coreHour: number;
  /** Price of 1000 PUTs, US dollars. */
  putPrice: number;
  /** Price of 1000 GETs, US dollars. */
  getPrice: number;
  /** Price of a GB stored for a month, US dollars. */
  gbMonth: number;
}

export const scale = defineCommand({
  usage: "scale",
  description: "what all 31.5 M tiles take and cost, from measured figures, as Markdown",
  options: (command) =>
    command
      .option(
        "--measured <file>",
        "results of benches, one JSON object a line",
        join(ROOT, "docs/measured.jsonl"),
      )
      .option("--workers <n>", "cores that render", whole(1), 50)
      .option("--core-hour <usd>", "price", positive, 0.04)
      .option("--put-price <usd>", "of 1000 PUTs", positive, 0.005)
      .option("--get-price <usd>", "of 1000 GETs", positive, 0.0004)
      .option("--gb-month <usd>", "of storage", positive, 0.023),
  action: scaleCommand,
});

/** Prints what all 31.5 M tiles take, as Markdown, from measured figures and prices. */
async function scaleCommand(context: CommandContext, options: ScaleOptions): Promise<void> {
  const results = await readResults(options.measured);
  const estimate = estimateOf(results, options);
  context.result(estimate, [markdownOf(results, estimate, options).trimEnd()]);
}

/** @throws FarmError `input` naming the line that is no bench's result, or that a bench is lacking */
async function readResults(path: string): Promise<Results> {
  const lines = (await readFile(path, "utf8").catch(() => ""))
    .split("\n")
    .filter((line) => line.trim() !== "");
  const measured = lines.map((line, at): Measured => {
    const read = JSON.parse(line);
    if (read?.complete === false) {
      throw new FarmError(
        "input",
        `${path}, line ${at + 1}: the bench ${read.bench} was stopped before it had measured all`,
        "run it again to its end",
      );
    }
    const parsed = lineSchema.safeParse(read);
    if (parsed.success) return parsed.data;
    throw new FarmError(
      "input",
      `${path}, line ${at + 1}: ${parsed.error.issues[0]?.path.join(".")}: ${parsed.error.issues[0]?.message}`,
      "what pnpm bench NAME --json prints",
    );
  });
  const resultsOf = <B extends Measured["bench"]>(bench: B): Result<B>[] =>
    measured.filter((result): result is Result<B> => result.bench === bench);
  const raster = resultsOf("raster");
  const [enqueue, farm, query] = [resultsOf("enqueue")[0], resultsOf("farm")[0], resultsOf("query")[0]];
  if (enqueue === undefined || farm === undefined || query === undefined || raster.length === 0) {
    throw new FarmError(
      "input",
      `${path}: lacks a bench`,
      "it needs raster, shards, enqueue, farm and query",
    );
  }
  return { raster, shards: resultsOf("shards"), enqueue, farm, query };
}

/** What one map's tiles take, all 31.5 M of them. */
interface Row {
  map: string;
  msPerTile: number;
  coreHours: number;
  databaseCoreHours: number;
  /** On all workers. */
  minutes: number;
  gb: number | undefined;
  checkMinutes: number | undefined;
  /** US dollars, as the next ones. */
  compute: number;
  requests: number;
  perMillion: number;
  /** Storage of a month. */
  month: number | undefined;
}

interface Estimate {
  tiles: number;
  shards: number;
  puts: number;
  gets: number;
  workers: number;
  prices: object;
  rows: Row[];
}

function estimateOf(results: Results, options: ScaleOptions): Estimate {
  const { raster, shards, enqueue, farm } = results;
  const sizes = new Map(shards.map(({ map = "", bytes_per_tile }) => [nameOf(map), bytes_per_tile]));
  const { per_shard: shard, check_per_shard: check, complete, check_mb_per_s: checkRate } = farm.requests;
  const { jobs } = enqueue;
  const described = 5 * Math.ceil(enqueue.locations / CHUNK_ROWS) + 7;
  const puts = Math.round(jobs * shard.put + described + complete.put);
  const gets = Math.round(
    jobs * (shard.get + shard.head + check.get + check.head) + complete.get + complete.head,
  );
  const rows = raster.map((run): Row => {
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
      databaseCoreHours: (run.query_ms_per_location * enqueue.locations) / 3.6e6,
      minutes: (60 * hours) / options.workers,
      gb,
      checkMinutes: gb === undefined ? undefined : (gb * 1000) / checkRate / 60,
      compute,
      requests,
      perMillion: (compute + requests) / (JOB_TILES / 1e6),
      month: gb === undefined ? undefined : gb * options.gbMonth,
    };
  });
  return {
    tiles: JOB_TILES,
    shards: jobs,
    puts,
    gets,
    workers: options.workers,
    prices: pricesOf(options),
    rows,
  };
}

const fixed = (value: number | undefined, digits = 1): string =>
  value === undefined ? "–" : value.toFixed(digits);

function markdownOf(results: Results, estimate: Estimate, options: ScaleOptions): string {
  const { requests } = results.farm;
  const { per_shard: shard, check_per_shard: check, check_mb_per_s: checkRate } = requests;
  const { shards, puts, gets } = estimate;
  return `# What 31.5 million tiles take

Printed by \`pnpm -s bench scale\`, from what the benches printed on one machine (${results.raster[0]?.machine.cpu}, 2 cores): [\`measured.jsonl\`](measured.jsonl), one line a bench. A test prints it again and compares. Measure your own: \`pnpm -s bench raster --pbf FILE --json >> measured.jsonl\`, likewise \`shards\`, \`enqueue\`, \`farm\`, \`query\`, then \`pnpm -s bench scale --measured measured.jsonl\`.

Prices are assumptions, not quotes; options set them: a core-hour $${options.coreHour}, 1000 PUTs $${options.putPrice}, 1000 GETs $${options.getPrice}, a GB-month $${options.gbMonth}.

${tableOfMaps(estimate)}

- **Core-hours** = ms a tile × 31.5 M / 3.6 M, one renderer on one core, which waits for its own queries: both together keep a core busy (\`bench raster\`). _Of them PostgreSQL_ = query ms × 1.5 M / 3.6 M. *Minutes* = 60 × core-hours / cores, were all busy all the time; nodes take minutes to come.
- **Stored** = bytes a tile × 31.5 M (\`bench shards\`, 16 levels). *Checking*: \`finalize\` reads every shard once, ${checkRate} MB/s measured on a local disk, in one process.
- **Requests**: ${shards} shards. Counted in a run (\`bench farm\`): a shard takes ${fixed(shard.put)} PUT, ${fixed(shard.get)} GET, ${fixed(shard.head)} HEAD; checking it ${fixed(check.get)} GET. In all ${puts} PUT, ${gets} GET and HEAD. Each epoch of training reads every shard once more.
- **$ per million tiles** = (core-hours × price + PUTs × price / 1000 + GETs × price / 1000) / 31.5. Without storage, the database's idle time, traffic between zones, and nodes that wait.

${queueSection(results)}

${databaseSection(results, estimate)}
`;
}

function tableOfMaps({ workers, rows }: Estimate): string {
  return tableOf(
    [
      "map",
      "ms a tile",
      "core-hours",
      "of them PostgreSQL",
      `minutes on ${workers} cores`,
      "GB stored",
      "checking, min",
      "compute $",
      "requests $",
      "$ per million tiles",
      "storage $ a month",
    ],
    rows.map((row) => [
      row.map,
      fixed(row.msPerTile, 2),
      fixed(row.coreHours),
      fixed(row.databaseCoreHours),
      fixed(row.minutes),
      fixed(row.gb, 0),
      fixed(row.checkMinutes),
      fixed(row.compute, 2),
      fixed(row.requests, 2),
      fixed(row.perMillion, 3),
      fixed(row.month, 2),
    ]),
  );
}

function queueSection({ enqueue, farm }: Results): string {
  const { simulation } = farm;
  return `## Queue

- **Enqueueing** ${enqueue.locations} locations: ${fixed(enqueue.seconds, 0)} s, ${enqueue.peak_rss_mb} MB of memory, ${enqueue.redis_mb} MB of Redis for ${enqueue.jobs} jobs (\`bench enqueue\`).
- **One Redis, ${simulation.workers} workers** whose jobs sleep 2 s: ${simulation.jobs_per_s} jobs/s of ${simulation.ideal_jobs_per_s} possible, a worker's next job after ${simulation.claim_ms.p50} ms (median; 99 %: ${simulation.claim_ms.p99} ms), Redis ${simulation.redis_cpu_pct} % of a core; Redis and all ${simulation.workers} workers shared 2 cores (\`bench farm\`).
- **What the queue costs**: ${farm.queue_overhead_pct} % of a worker's time; two workers gave ${farm.efficiency_2} of twice one, relative to the same two processes without a queue.`;
}

function databaseSection({ raster, query }: Results, { workers, rows }: Estimate): string {
  const busyCores = Math.max(...rows.map((row) => (workers * row.databaseCoreHours) / row.coreHours));
  const rss = Math.max(...raster.map((run) => run.fast_rss_mb));
  const table = tableOf(
    ["features", "query ms", "median", "95 %"],
    query.tables.map((row) => [
      String(row.features),
      fixed(row.query_ms, 2),
      fixed(row.p50_ms, 2),
      fixed(row.p95_ms, 2),
    ]),
  );
  return `## PostgreSQL

${table}

- The same surroundings in ever larger tables (\`bench query\`: copies of a city all over the world, everything in memory). The index grows by a level for about a hundred times the rows; the tail is where copies overlap. A planet has about a hundred times the last row's features: reckon with a level more. What is *not* measured: a table that does not fit in memory. Then a location costs as many random reads as its features lie on pages; sort locations by place (their order is yours), or give PostgreSQL memory for the region that is rendered.
- A worker has one query at a time in flight, of at most 4 connections. ${workers} workers keep ${fixed(busyCores)} cores of PostgreSQL busy at the worst of the maps above: from there on, read replicas (workers only read), and a pooler for the connections: see [infra](../infra/README.md).
- A worker needs one core and ${rss} MB.`;
}

const nameOf = (map: string): string => map.split("/").at(-1)?.split(".")[0] ?? map;

function pricesOf({ coreHour, putPrice, getPrice, gbMonth }: ScaleOptions): object {
  return { core_hour: coreHour, put_1000: putPrice, get_1000: getPrice, gb_month: gbMonth };
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
