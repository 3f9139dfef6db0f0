import { spawn, spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join, parse } from "node:path";
import {
  channelPicture,
  composeRgb,
  encodePng,
  type Figure,
  type Picture,
  renderPage,
  sheet,
} from "@loc2vec/atlas";
import { whole } from "@loc2vec/cli";
import {
  DEFAULT_AUGMENTATION,
  FarmError,
  type Location,
  locationTransforms,
  OSM_ATTRIBUTION,
  SAMPLES_PER_LOCATION,
  type TileTransform,
} from "@loc2vec/core";
import { type FarmContext, machine } from "@loc2vec/farm";
import { ensureDatabase, importPbf, type Profile, sampleLocations } from "@loc2vec/gis";
import { createRasterizer, type RendererKind, type Stage } from "@loc2vec/rasterizer";
import {
  defineBench,
  locationsOption,
  type MapOptions,
  mapOption,
  type Report,
  repeatsOption,
} from "../bench.ts";
import { TIED } from "../children.ts";
import { multiplyFeatures } from "../copies.ts";
import { JOB_TILES, medianOf } from "../harness.ts";
import { mapFile } from "../map.ts";
import { createNaiveRenderer } from "../naive.ts";
import { withBenchServices } from "../services.ts";

/** Set in the process that is pinned to one core. */
const PINNED = "LOC2VEC_BENCH_PINNED";
const SHOWN = 6;
/** Most locations that all renderers draw; of more, only the fast renderer draws all. */
const COMPARED = 200;

interface RasterOptions extends MapOptions {
  repeats: number;
  locations: number;
  /** How often each feature is there, a hundred metres apart at most. */
  density: number;
}

export const raster = defineBench({
  name: "raster",
  description: "naive, exact and fast rendering on one core, and a page of their pictures",
  options: (command) =>
    command
      .addOption(mapOption())
      .addOption(locationsOption(200))
      .option("--density <n>", "each feature so many times, shifted at random", whole(1, 100), 1)
      .addOption(repeatsOption()),
  measure: measureRaster,
});

interface Timed {
  msPerTile: number;
  stages: Record<Stage, number>;
  /** Resident memory after a tenth of the locations, and after all, MiB. */
  rss: [number, number];
}

/**
 * Naive, exact and fast rendering of the same locations in one run on one core, PostgreSQL on the same core where the
 * bench starts it; how far fast is from exact; and a page of pictures.
 *
 * @returns undefined where a process that has one core printed the result
 */
async function measureRaster(
  context: FarmContext,
  options: RasterOptions,
  report: Report,
): Promise<object | undefined> {
  if (process.env[PINNED] === undefined && spawnSync("taskset", ["-c", "0", "true"]).status === 0)
    return pinned();
  const map = await mapFile(context, options.pbf);
  const profile = await context.profile();
  return withBenchServices(context, ["database"], async ({ databaseUrl: server, started }) => {
    const { density } = options;
    const dense = density > 1;
    const databaseUrl = await ensureDatabase(server, dense ? "loc2vec_bench_dense" : "loc2vec_bench");
    const info = await importPbf({ pbf: map, databaseUrl, profile, force: dense, signal: context.signal });
    if (dense) await multiplyFeatures(databaseUrl, density, 1);
    const locations = await sampleLocations({ databaseUrl, count: options.locations, seed: 1 });
    const transforms = locations.map((_, i) =>
      locationTransforms({ seed: 1, samples: SAMPLES_PER_LOCATION, augmentation: DEFAULT_AUGMENTATION }, i),
    );
    const { signal, log } = context;
    const features = Object.values(info.channels).reduce((sum, count) => sum + count, 0);
    const round = (value: number): number => Number(value.toFixed(4));
    report({ map: info.pbf, features: features * density, locations: locations.length });

    log(`bench: fast, ${locations.length} locations`);
    const fast = await time(databaseUrl, profile, "fast", locations, transforms, options.repeats, signal);
    const [firstRss, lastRss] = fast.rss;
    report({ fast_ms_per_tile: round(fast.msPerTile) });
    log(`bench: exact`);
    const compared = locations.slice(0, COMPARED);
    const exact = await time(databaseUrl, profile, "exact", compared, transforms, 1, signal);
    report({ exact_ms_per_tile: round(exact.msPerTile) });
    log(`bench: naive`);
    const naive = await timeNaive(databaseUrl, profile, compared, transforms, signal);
    report({ naive_ms_per_tile: round(naive) });
    log(`bench: comparing pictures`);
    const { mae, iou, figures } = await compare(databaseUrl, profile, compared, transforms);
    const folder = join(context.config.home, "reports", "bench-raster");
    const result = {
      machine: machine(),
      map: info.pbf,
      features: features * density,
      density,
      locations: locations.length,
      compared: compared.length,
      one_core: process.env[PINNED] !== undefined,
      database_on_same_core: process.env[PINNED] !== undefined && started.includes("database"),
      naive_ms_per_tile: round(naive),
      exact_ms_per_tile: round(exact.msPerTile),
      fast_ms_per_tile: round(fast.msPerTile),
      ratio: round(naive / fast.msPerTile),
      core_hours_1p5m: round((fast.msPerTile * JOB_TILES) / 3.6e6),
      query_ms_per_location: round(fast.stages.query),
      render_ms_per_location: round(fast.stages.render),
      cut_ms_per_location: round(fast.stages.cut),
      mae: round(mae),
      iou: round(iou),
      fast_rss_mb: lastRss,
      fast_rss_first_tenth_mb: firstRss,
      peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
      page: join(folder, "index.html"),
    };
    await writePage(folder, result, figures);
    return result;
  });
}

/** Runs this same command in a process that has one core. */
async function pinned(): Promise<undefined> {
  const [, script = "", ...args] = process.argv;
  const child = spawn("taskset", ["-c", "0", process.execPath, ...TIED, script, ...args], {
    env: { ...process.env, [PINNED]: "1" },
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  process.exitCode = code ?? 1;
}

async function time(
  databaseUrl: string,
  profile: Profile,
  kind: RendererKind,
  locations: readonly Location[],
  transforms: readonly TileTransform[][],
  repeats: number,
  signal: AbortSignal,
): Promise<Timed> {
  let stages: Record<Stage, number> = { query: 0, render: 0, cut: 0 };
  const rasterizer = await createRasterizer({
    databaseUrl,
    profile,
    kind,
    onStage: (stage, ms) => {
      stages[stage] += ms;
    },
  });
  const runs: (Timed & { ms: number })[] = [];
  const resident = (): number => Math.round(process.memoryUsage.rss() / 2 ** 20);
  let early = 0;
  try {
    for (let i = 0; i < Math.min(10, locations.length); i++)
      await rasterizer.render(locations[i] as Location, transforms[i] as TileTransform[]);
    for (let run = 0; run < repeats; run++) {
      stages = { query: 0, render: 0, cut: 0 };
      const begin = performance.now();
      for (const [i, location] of locations.entries()) {
        signal.throwIfAborted();
        await rasterizer.render(location, transforms[i] as TileTransform[]);
        if (run === 0 && i === Math.floor(locations.length / 10)) early = resident();
      }
      const ms = performance.now() - begin;
      const per = Object.fromEntries(
        Object.entries(stages).map(([stage, sum]) => [stage, sum / locations.length]),
      ) as Record<Stage, number>;
      runs.push({
        ms,
        msPerTile: ms / locations.length / SAMPLES_PER_LOCATION,
        stages: per,
        rss: [early, resident()],
      });
    }
  } finally {
    await rasterizer.close();
  }
  return medianOf(runs, ({ ms }) => ms);
}

async function timeNaive(
  databaseUrl: string,
  profile: Profile,
  locations: readonly Location[],
  transforms: readonly TileTransform[][],
  signal: AbortSignal,
): Promise<number> {
  const render = createNaiveRenderer(databaseUrl, profile, locations[0]?.lat ?? 0);
  await render(locations[0] as Location, (transforms[0] as TileTransform[])[0] as TileTransform);
  const begin = performance.now();
  for (const [i, location] of locations.entries()) {
    for (const transform of transforms[i] as TileTransform[]) {
      signal.throwIfAborted();
      await render(location, transform);
    }
  }
  return (performance.now() - begin) / locations.length / SAMPLES_PER_LOCATION;
}

async function compare(
  databaseUrl: string,
  profile: Profile,
  locations: readonly Location[],
  transforms: readonly TileTransform[][],
): Promise<{ mae: number; iou: number; figures: Drawn[] }> {
  const [exact, fast] = await Promise.all(
    (["exact", "fast"] as const).map((kind) => createRasterizer({ databaseUrl, profile, kind })),
  );
  if (exact === undefined || fast === undefined) throw new FarmError("internal", "no rasterizer");
  const channels = profile.channels.length;
  let [difference, bytes, overlap, planes] = [0, 0, 0, 0];
  const triples: Picture[][] = [];
  const fullest = profile.channels.map(() => [] as { filled: number; picture: Picture }[]);
  try {
    for (const [i, location] of locations.entries()) {
      const both = await Promise.all(
        [exact, fast].map((rasterizer) => rasterizer.render(location, transforms[i] as TileTransform[])),
      );
      for (let sample = 0; sample < SAMPLES_PER_LOCATION; sample++) {
        const [a, b] = both.map((tiles) => tiles[sample]) as [Uint8Array, Uint8Array];
        const area = a.length / channels;
        for (let channel = 0; channel < channels; channel++) {
          let [inter, union] = [0, 0];
          for (let k = channel * area; k < (channel + 1) * area; k++) {
            const [x, y] = [a[k] as number, b[k] as number];
            difference += Math.abs(x - y);
            if (x >= 128 || y >= 128) union++;
            if (x >= 128 && y >= 128) inter++;
          }
          if (union === 0) continue;
          overlap += inter / union;
          planes++;
          if (sample === 0)
            fullest[channel]?.push({ filled: union, picture: channelPicture(a, channel, channels) });
        }
        bytes += a.length;
        if (sample === 1 && triples.length < SHOWN)
          triples.push([
            composeRgb(a, profile),
            composeRgb(b, profile),
            contrast(composeRgb(a, profile), composeRgb(b, profile)),
          ]);
      }
    }
  } finally {
    await Promise.all([exact.close(), fast.close()]);
  }
  const gallery = fullest.map((planes, channel): Drawn => {
    // From sparse to full: the extremes say little.
    const sorted = planes.sort((p, q) => p.filled - q.filled).map(({ picture }) => picture);
    const chosen = Array.from(
      { length: Math.min(8, sorted.length) },
      (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / 9)] as Picture,
    );
    const { name = "", title = "" } = profile.channels[channel] ?? {};
    return {
      file: `channel-${String(channel + 1).padStart(2, "0")}-${name}.png`,
      title: `${channel + 1} ${name}`,
      caption: chosen.length > 0 ? title : `${title}: nothing of it on this map near the locations`,
      picture: chosen.length > 0 ? sheet([chosen]) : undefined,
    };
  });
  return {
    mae: difference / bytes,
    iou: planes > 0 ? overlap / planes : 1,
    figures: [
      {
        file: "comparison.png",
        title: "Exact, fast, and their difference",
        caption: "One positive per row; the difference is shown four times as strong.",
        picture: sheet(triples),
      },
      ...gallery,
    ],
  };
}

interface Drawn {
  file: string;
  title: string;
  caption: string;
  picture: Picture | undefined;
}

function contrast(a: Picture, b: Picture): Picture {
  return {
    ...a,
    data: a.data.map((value, i) => 255 - Math.min(255, 4 * Math.abs(value - (b.data[i] as number)))),
  };
}

async function writePage(
  folder: string,
  result: Record<string, unknown>,
  drawn: readonly Drawn[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const figures: Figure[] = [];
  for (const { file, title, caption, picture } of drawn) {
    if (picture !== undefined) await writeFile(join(folder, file), await encodePng(picture));
    const pictures =
      picture === undefined ? [] : [{ file, alt: title, width: picture.width, height: picture.height }];
    figures.push({ id: parse(file).name, title, caption, pictures });
  }
  const facts = Object.entries(result)
    .filter(([, value]) => typeof value !== "object")
    .map(([name, value]) => [name, String(value)] as const);
  await writeFile(
    join(folder, "index.html"),
    renderPage({ title: "Rasterizer", facts, figures, attribution: OSM_ATTRIBUTION }),
  );
}
