import { randomOf } from "@loc2vec/core";
import type { Architecture, Network, Triplet } from "@loc2vec/encoder";
import { sharedMemory } from "@loc2vec/shards";
import { type MiniBatch, parseRecipe, type Settings, settle } from "@loc2vec/trainer";

/** How many locations a mini-batch has, and positives of each. */
export interface Shape {
  locations: number;
  pairs: number;
}

/** As the trainer draws them: each anchor with each of its positives, and a negative of another location. */
export function drawTriplets({ locations, pairs }: Shape): Triplet[] {
  const random = randomOf(1);
  const rows = 1 + pairs;
  return Array.from({ length: locations * pairs }, (_, i) => {
    const own = Math.floor(i / pairs);
    const other = (own + 1 + random.int(locations - 1)) % locations;
    return {
      anchor: own * rows,
      positive: own * rows + 1 + (i % pairs),
      negative: other * rows + random.int(rows),
    };
  });
}

/**
 * A mini-batch as the trainer has it, in one piece of memory, of tiles that are at hand, with all channels on.
 *
 * @param tiles of each location its anchor, then its positives: planar uint8 [channel, y, x]
 * @param step from 1
 */
export function miniBatchOf(
  tiles: readonly Uint8Array[],
  shape: Shape,
  { channels, pixels }: Architecture,
  step: number,
): MiniBatch {
  const rows = tiles.map((_, row) => ({
    shard: 0,
    location: Math.floor(row / (1 + shape.pairs)),
    sample: row % (1 + shape.pairs),
  }));
  const channelsOn = new Uint8Array(tiles.length * channels).fill(1);
  const size = channels * pixels ** 2;
  const memory = sharedMemory(tiles.length * size);
  const joined = tiles.map((tile, at) => {
    memory.set(tile, at * size);
    return memory.subarray(at * size, (at + 1) * size);
  });
  return { plan: { step, rows, triplets: drawTriplets(shape), channelsOn }, tiles: joined };
}

/** The settings of a training with the recipe's defaults. Its data set does not matter to a step. */
export function settingsOf(
  network: Network,
  { channels, pixels }: Pick<Architecture, "channels" | "pixels">,
  precision: "float32" | "mixed",
): Settings {
  const recipe = parseRecipe("a bench", { network: [...network] });
  const names = Array.from({ length: channels }, (_, i) => `channel ${i}`);
  const drawn = { shards: "0", early: false, minDistanceM: 0, holdout: { share: 0, cellM: 1, borderM: 0 } };
  const identity = { name: "bench" } as Settings["dataset"];
  return settle({ ...recipe, precision, anneal: 0 }, identity, { channels: names, pixels }, drawn);
}
