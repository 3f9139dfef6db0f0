import { basename } from "node:path";
import {
  DEFAULT_AUGMENTATION,
  EXIT_CODES,
  FarmError,
  type Levels,
  type Location,
  locationTransforms,
  SAMPLES_PER_LOCATION,
} from "@loc2vec/core";
import { createEncoder, DROPOUT, initialWeights, LOC2VEC } from "@loc2vec/encoder";
import { ensureDatabase, importPbf, sampleLocations } from "@loc2vec/gis";
import { createRasterizer, type Rasterizer } from "@loc2vec/rasterizer";
import { encodeShard } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import type { Context } from "../context.ts";
import { describeDataset } from "../stages.ts";
import { embedBench } from "./embed.ts";
import { enqueueBench } from "./enqueue.ts";
import { farmBench } from "./farm.ts";
import { type Measurement, machine, mapFile, measure, type Report } from "./harness.ts";
import { loaderBench } from "./loader.ts";
import { queryBench } from "./query.ts";
import { rasterBench } from "./raster.ts";
import { withBenchServices } from "./services.ts";
import { shardsBench } from "./shards.ts";
import { trainBench } from "./train.ts";
import { workersBench } from "./workers.ts";

/** Locations of a run. */
const LOCATIONS = 24;
/** Locations whose tiles the shards bench keeps in memory, at most. */
const SHARDED = 48;

interface Bench {
  context: Context;
  rasterizer: Rasterizer;
  repeats: number;
  /** Renders the locations. */
  render: () => Promise<Uint8Array[][]>;
}

const BENCHES: Readonly<Record<string, (bench: Bench) => Promise<Record<string, Measurement>>>> = {
  /** Tiles of 12 channels, anchor and 20 positives, from PostGIS to bytes. */
  async render({ render, repeats }) {
    return {
      render: await measure(
        { unit: "tiles", count: LOCATIONS * SAMPLES_PER_LOCATION, repeats },
        async () => void (await render()),
      ),
    };
  },
  /** Compression and checksums of real tiles. */
  async shard({ context, rasterizer, render, repeats }) {
    const tiles = (await render()).flat();
    const given = { name: "bench", seed: 0, positives: 20, shardLocations: LOCATIONS };
    const dataset = describeDataset(await context.profile(), rasterizer.source, LOCATIONS, given);
    return {
      encode: await measure(
        { unit: "tiles", count: tiles.length, repeats },
        async () => void (await encodeShard(dataset, 0, tiles)),
      ),
    };
  },
  /** Forward and backward pass of one mini-batch of 120 images, and embedding of as many. */
  async step({ render, repeats }) {
    const images = (await render()).slice(0, 20).flatMap((samples) => samples.slice(0, 6));
    const encoder = createEncoder(await loadTensorflow(), LOC2VEC, initialWeights(LOC2VEC, 0));
    const channelsOn = new Uint8Array(images.length * LOC2VEC.channels).fill(1);
    const batch = { tiles: images, channelsOn, seed: 0, step: 1, dropout: DROPOUT };
    const unit = { unit: "images", count: images.length, repeats };
    try {
      return {
        train: await measure(unit, () => void encoder.gradients(batch, (embeddings) => embeddings)),
        embed: await measure(unit, () => void encoder.embed(images)),
      };
    } finally {
      encoder.dispose();
    }
  },
};

interface BenchOptions {
  pbf?: string;
  repeats: number;
  locations?: number;
  density: number;
  steps: number;
}

/** Benches with results of their own: one object each, or nothing where it was printed already. */
const OTHERS: Readonly<
  Record<
    string,
    (context: Context, options: BenchOptions & { report: Report }) => Promise<object | undefined>
  >
> = {
  raster: (context, { locations = 200, ...options }) => rasterBench(context, { ...options, locations }),
  shards: (context, { pbf, locations = SHARDED }) =>
    withMap(context, pbf, async ({ map, databaseUrl, rasterizer, render }) => {
      const sampled = await sampleLocations({ databaseUrl, count: Math.min(locations, SHARDED), seed: 1 });
      const given = { name: "bench", seed: 1, positives: 20, shardLocations: LOCATIONS };
      const found = await shardsBench({
        dataset: describeDataset(await context.profile(), rasterizer.source, sampled.length, given),
        locations: sampled,
        render: async (levels) => (await render(sampled, levels)).flat(),
        log: context.log,
      });
      return { map: basename(map), ...found };
    }),
  workers: (context, { pbf, repeats, locations = 200, report }) =>
    withMap(context, pbf, ({ databaseUrl }) =>
      workersBench(
        { databaseUrl, style: context.config.style, locations },
        { repeats, signal: context.signal, report },
      ),
    ),
  farm: (context, { pbf, locations = 1920, repeats, report }) =>
    withMap(context, pbf, ({ databaseUrl, rasterizer }) =>
      withBenchServices(context, ["redis"], async ({ redisUrl }) => {
        const sampled = await sampleLocations({ databaseUrl, count: locations, seed: 1 });
        const given = { name: "bench", seed: 1, positives: 20, shardLocations: 32 };
        const dataset = describeDataset(await context.profile(), rasterizer.source, sampled.length, given);
        return farmBench({ context, redisUrl, databaseUrl, dataset, locations: sampled, repeats, report });
      }),
    ),
  train: (context, { pbf, repeats, steps }) =>
    withMap(context, pbf, async ({ databaseUrl, render }) => {
      const sampled = await sampleLocations({ databaseUrl, count: 20, seed: 1 });
      const tiles = (await render(sampled)).flatMap((samples) => samples.slice(0, 6));
      return trainBench({ context, tiles, repeats, steps });
    }),
  loader: (context, { pbf, locations = 320 }) =>
    withMap(context, pbf, async ({ databaseUrl, rasterizer }) => {
      const sampled = await sampleLocations({ databaseUrl, count: locations, seed: 1 });
      const given = { name: "bench", seed: 1, positives: 20, shardLocations: 16 };
      const dataset = describeDataset(await context.profile(), rasterizer.source, sampled.length, given);
      return loaderBench(context, rasterizer, dataset, sampled);
    }),
  embed: (context, { pbf, repeats }) =>
    withMap(context, pbf, async ({ databaseUrl, rasterizer, render }) => {
      const sampled = await sampleLocations({ databaseUrl, count: 12, seed: 1 });
      const given = { name: "bench", seed: 1, positives: 20, shardLocations: sampled.length };
      const dataset = describeDataset(await context.profile(), rasterizer.source, sampled.length, given);
      const tiles = (await render(sampled, dataset.levels)).flat();
      return embedBench(context, { dataset, locations: sampled, tiles }, repeats);
    }),
  query: (context, { pbf, locations = 200, report }) => queryBench(context, { pbf, locations, report }),
  enqueue: (context, { pbf, locations = 1_500_000 }) =>
    withMap(context, pbf, ({ databaseUrl, bbox }) =>
      withBenchServices(context, ["redis"], ({ redisUrl }) =>
        enqueueBench(context, { redisUrl, databaseUrl, bbox, locations }),
      ),
    ),
};

/**
 * Prints one object: name, machine, and what was measured, all in this one run. One that is stopped prints what it had
 * measured by then, with `complete: false`.
 */
export async function benchCommand(context: Context, name: string, options: BenchOptions): Promise<void> {
  const other = OTHERS[name];
  if (other !== undefined) {
    const words = (figures: object, width = 0): string[] =>
      Object.entries(figures).map(([key, value]) => `${key.padEnd(width)} ${JSON.stringify(value)}`);
    const soFar: Record<string, unknown> = {};
    const report: Report = (figures) => {
      Object.assign(soFar, figures);
      context.log(`bench: ${words(figures).join(", ")}`);
    };
    const print = (figures: object, complete: boolean): void =>
      context.result({ bench: name, complete, ...figures }, [
        ...words(figures, 24),
        ...(complete ? [] : ["stopped before the rest was measured"]),
      ]);
    try {
      const found = await other(context, { ...options, report });
      if (found !== undefined) print(found, true);
    } catch (error) {
      if (!context.signal.aborted || Object.keys(soFar).length === 0) throw error;
      process.exitCode = EXIT_CODES.interrupted;
      print(soFar, false);
    }
    return;
  }
  const names = name === "all" ? Object.keys(BENCHES) : [name];
  const unknown = names.find((each) => BENCHES[each] === undefined);
  if (unknown !== undefined)
    throw new FarmError(
      "usage",
      `unknown bench ${unknown}`,
      `one of all, ${Object.keys(BENCHES).join(", ")}, ${Object.keys(OTHERS).join(", ")}`,
    );
  const { pbf, repeats } = options;
  const { map, results } = await withMap(context, pbf, async ({ map, databaseUrl, rasterizer, render }) => {
    const locations = await sampleLocations({ databaseUrl, count: LOCATIONS, seed: 1 });
    const results: Record<string, Measurement> = {};
    for (const each of names)
      Object.assign(
        results,
        await BENCHES[each]?.({ context, rasterizer, repeats, render: () => render(locations) }),
      );
    return { map, results };
  });
  context.result({ bench: name, machine: machine(), map, results }, [
    ...Object.entries(results).map(
      ([what, { rate, unit, seconds }]) =>
        `${what.padEnd(8)} ${rate.toFixed(1)} ${unit}/s (median of ${repeats}; ${seconds.min.toFixed(3)}–${seconds.max.toFixed(3)} s a run)`,
    ),
  ]);
}

interface ImportedMap {
  map: string;
  /** Its area, degrees: west, south, east, north. */
  bbox: readonly [number, number, number, number];
  databaseUrl: string;
  rasterizer: Rasterizer;
  /** Renders an anchor and 20 positives of each location. */
  render: (locations: readonly Location[], levels?: Levels) => Promise<Uint8Array[][]>;
}

/** Imports the map, on the benches' own server, and runs `work` with a renderer. */
async function withMap<T>(
  context: Context,
  pbf: string | undefined,
  work: (imported: ImportedMap) => Promise<T>,
): Promise<T> {
  const map = await mapFile(context, pbf);
  const profile = await context.profile();
  const { config, signal } = context;
  return withBenchServices(context, ["database"], async ({ databaseUrl: server }) => {
    const databaseUrl = await ensureDatabase(server, "loc2vec_bench");
    const { bbox } = await importPbf({ pbf: map, databaseUrl, profile, signal });
    const rasterizer = await createRasterizer({ databaseUrl, profile, kind: config.renderer });
    const drawn = { seed: 1, samples: SAMPLES_PER_LOCATION, augmentation: DEFAULT_AUGMENTATION };
    const render = (locations: readonly Location[], levels?: Levels): Promise<Uint8Array[][]> =>
      Promise.all(
        locations.map((location, i) => rasterizer.render(location, locationTransforms(drawn, i), levels)),
      );
    try {
      return await work({ map, bbox, databaseUrl, rasterizer, render });
    } finally {
      await rasterizer.close();
    }
  });
}
