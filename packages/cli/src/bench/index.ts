import {
  DEFAULT_AUGMENTATION,
  FarmError,
  type Levels,
  type Location,
  locationTransforms,
  SAMPLES_PER_LOCATION,
} from "@loc2vec/core";
import { createEncoder, DROPOUT, initialWeights, LOC2VEC } from "@loc2vec/encoder";
import { ensureDatabase, importPbf, sampleLocations } from "@loc2vec/gis";
import { createRasterizer } from "@loc2vec/rasterizer";
import { encodeShard } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { type Context, withServices } from "../context.ts";
import { describeDataset } from "../stages.ts";
import { type Measurement, machine, mapFile, measure } from "./harness.ts";
import { rasterBench } from "./raster.ts";
import { shardsBench } from "./shards.ts";
import { workersBench } from "./workers.ts";

/** Locations of a run. */
const LOCATIONS = 24;
/** Benches with results of their own. */
const OTHERS: ReadonlySet<string> = new Set(["shards", "workers"]);
/** Locations whose tiles the shards bench keeps in memory, at most. */
const SHARDED = 48;

interface Bench {
  context: Context;
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
  async shard({ context, render, repeats }) {
    const tiles = (await render()).flat();
    const given = { name: "bench", seed: 0, positives: 20, shardLocations: LOCATIONS };
    const dataset = describeDataset(context, await context.profile(), LOCATIONS, given);
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

/** Prints one object: name, machine, and what was measured, all in this one run. */
export async function benchCommand(
  context: Context,
  name: string,
  {
    pbf,
    repeats,
    locations: count,
    density,
  }: { pbf?: string; repeats: number; locations: number; density: number },
): Promise<void> {
  if (name === "raster")
    return rasterBench(context, {
      ...(pbf === undefined ? {} : { pbf }),
      repeats,
      locations: count,
      density,
    });
  const names = name === "all" ? Object.keys(BENCHES) : [name];
  const unknown = names.find((each) => BENCHES[each] === undefined);
  if (unknown !== undefined && !OTHERS.has(name))
    throw new FarmError(
      "usage",
      `unknown bench ${unknown}`,
      `one of all, raster, ${[...OTHERS].join(", ")}, ${Object.keys(BENCHES).join(", ")}`,
    );
  const map = await mapFile(context, pbf);
  const profile = await context.profile();
  const results = await withServices(context, ["database"], async ({ databaseUrl: server }) => {
    const databaseUrl =
      context.config.databaseUrl === undefined ? await ensureDatabase(server, "loc2vec_demo") : server;
    if (context.config.databaseUrl === undefined)
      await importPbf({ pbf: map, databaseUrl, profile, signal: context.signal });
    if (name === "workers")
      return workersBench({ databaseUrl, style: context.config.style, locations: count }, repeats);
    const locations: Location[] = await sampleLocations({
      databaseUrl,
      count: name === "shards" ? Math.min(count, SHARDED) : LOCATIONS,
      seed: 1,
    });
    const rasterizer = await createRasterizer({ databaseUrl, profile, kind: context.config.renderer });
    const drawn = { seed: 1, samples: SAMPLES_PER_LOCATION, augmentation: DEFAULT_AUGMENTATION };
    const render = (levels?: Levels): Promise<Uint8Array[][]> =>
      Promise.all(
        locations.map((location, i) => rasterizer.render(location, locationTransforms(drawn, i), levels)),
      );
    try {
      if (name === "shards") {
        const given = { name: "bench", seed: 1, positives: 20, shardLocations: LOCATIONS };
        return await shardsBench({
          dataset: describeDataset(context, profile, locations.length, given),
          locations,
          render: async (levels) => (await render(levels)).flat(),
          log: context.log,
        });
      }
      const found: Record<string, Measurement> = {};
      for (const each of names) Object.assign(found, await BENCHES[each]?.({ context, repeats, render }));
      return found;
    } finally {
      await rasterizer.close();
    }
  });
  if (OTHERS.has(name)) {
    const found = results as Record<string, unknown>;
    context.result(
      { bench: name, map, ...found },
      Object.entries(found).map(([key, value]) => `${key.padEnd(20)} ${JSON.stringify(value)}`),
    );
    return;
  }
  context.result({ bench: name, machine: machine(), map, results }, [
    ...Object.entries(results as Record<string, Measurement>).map(
      ([what, { rate, unit, seconds }]) =>
        `${what.padEnd(8)} ${rate.toFixed(1)} ${unit}/s (median of ${repeats}; ${seconds.min.toFixed(3)}–${seconds.max.toFixed(3)} s a run)`,
    ),
  ]);
}
