import { type CommandContext, type CommandDefinition, defineCommand } from "@loc2vec/cli";
import { SAMPLES_PER_LOCATION } from "@loc2vec/core";
import { createEncoder, DROPOUT, initialWeights, LOC2VEC } from "@loc2vec/encoder";
import { describeDataset, machine } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import type { Rasterizer } from "@loc2vec/rasterizer";
import { encodeShard } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { type MapOptions, mapOption, repeatsOption } from "../bench.ts";
import { type Measurement, measure } from "../harness.ts";
import { withMap } from "../map.ts";

/** Locations of a run. */
const LOCATIONS = 24;

interface Subject {
  context: CommandContext;
  rasterizer: Rasterizer;
  repeats: number;
  /** Renders the locations. */
  render: () => Promise<Uint8Array[][]>;
}

type Part = (subject: Subject) => Promise<Record<string, Measurement>>;

/** Tiles of 12 channels, anchor and 20 positives, from PostGIS to bytes. */
const measureRender: Part = async ({ render, repeats }) => ({
  render: await measure(
    { unit: "tiles", count: LOCATIONS * SAMPLES_PER_LOCATION, repeats },
    async () => void (await render()),
  ),
});

/** Compression and checksums of real tiles. */
const measureShard: Part = async ({ context, rasterizer, render, repeats }) => {
  const tiles = (await render()).flat();
  const chosen = { name: "bench", seed: 0, positives: 20, shardLocations: LOCATIONS };
  const dataset = describeDataset(await context.profile(), rasterizer.source, LOCATIONS, chosen);
  return {
    encode: await measure(
      { unit: "tiles", count: tiles.length, repeats },
      async () => void (await encodeShard(dataset, 0, tiles)),
    ),
  };
};

/** Forward and backward pass of one mini-batch of 120 images, and embedding of as many. */
const measureStep: Part = async ({ render, repeats }) => {
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
};

export const render = define("render", "tiles a second, from PostGIS to bytes", [measureRender]);
export const shard = define("shard", "tiles a second that a shard is encoded with", [measureShard]);
export const step = define("step", "images a second, trained and embedded", [measureStep]);
export const all = define("all", "render, shard and step in one run", [
  measureRender,
  measureShard,
  measureStep,
]);

function define(name: string, description: string, parts: readonly Part[]): CommandDefinition {
  return defineCommand({
    usage: name,
    description,
    options: (command) => command.addOption(mapOption()).addOption(repeatsOption()),
    async action(context, { pbf, repeats }: MapOptions & { repeats: number }) {
      const { map, results } = await withMap(context, pbf, async (imported) => {
        const { rasterizer, databaseUrl } = imported;
        const locations = await sampleLocations({ databaseUrl, count: LOCATIONS, seed: 1 });
        const subject = { context, rasterizer, repeats, render: () => imported.render(locations) };
        const results: Record<string, Measurement> = {};
        for (const part of parts) Object.assign(results, await part(subject));
        return { map: imported.map, results };
      });
      context.result(
        { bench: name, machine: machine(), map, results },
        Object.entries(results).map(
          ([what, { rate, unit, seconds }]) =>
            `${what.padEnd(8)} ${rate.toFixed(1)} ${unit}/s (median of ${repeats}; ${seconds.min.toFixed(3)}–${seconds.max.toFixed(3)} s a run)`,
        ),
      );
    },
  });
}
