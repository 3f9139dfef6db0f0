import { type Dataset, FarmError, Purpose, type Random, randomOf, shardOf, shardRange } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { type DatasetReader, listShards, type ObjectStore, type ShardReader } from "@loc2vec/shards";
import type { City } from "./drawing.ts";
import { composeRgb, filledOf } from "./picture.ts";

/** Locations that the fullest are chosen from, and how many are chosen. */
const [CANDIDATES, CHOSEN] = [40, 12] as const;

/**
 * Opens a data set to be looked at.
 *
 * @returns the city, and the numbers of the rendered shards, ascending
 * @throws FarmError `cartography-mismatch` for a profile with other channels; `input` when no shard is rendered yet;
 *   `shards-missing`, `damaged`
 */
export async function openCity(
  store: ObjectStore,
  reader: DatasetReader,
  profile: Profile,
): Promise<{ city: City; shards: number[] }> {
  const { dataset } = reader;
  checkProfile(dataset, profile);
  const shards = [...(await listShards(store, dataset))].sort((a, b) => a - b);
  if (shards.length === 0)
    throw new FarmError(
      "input",
      `data set ${dataset.name}: no shard is rendered yet`,
      "pnpm farm:work renders them",
    );
  const tile = tileReader(reader);
  const rendered = new Set(shards);
  const isRendered = (location: number): boolean => rendered.has(shardOf(dataset, location));
  const random = randomOf(dataset.seed, Purpose.evaluate);
  const chosen = await chooseLocations(dataset, shards, tile, random);
  const all = Array.from({ length: dataset.locations }, (_, i) => i);
  const city: City = {
    dataset,
    places: await reader.locations(0, dataset.locations),
    chosen,
    shuffled: random.shuffle(all.filter(isRendered)),
    isRendered,
    labels: () => reader.labels(),
    tile,
    rgb: async (location, sample) => composeRgb(await tile(location, sample), profile),
  };
  return { city, shards };
}

/** @throws FarmError `cartography-mismatch` for a profile with other channels than the data set's */
export function checkProfile(dataset: Dataset, profile: Profile): void {
  if (dataset.channels.join() === profile.channels.map((channel) => channel.name).join()) return;
  throw new FarmError(
    "cartography-mismatch",
    `data set ${dataset.name} has other channels than the profile ${profile.name}`,
    "set FARM_STYLE to the profile it was rendered with",
  );
}

/** Locations with something to see, chosen by the data set's seed: of some random ones those with the fullest tiles. */
async function chooseLocations(
  dataset: Dataset,
  shards: readonly number[],
  tile: City["tile"],
  random: Random,
): Promise<number[]> {
  const candidates = new Set<number>();
  for (let i = 0; i < 4 * CANDIDATES && candidates.size < CANDIDATES; i++) {
    const { first, end } = shardRange(dataset, shards[random.int(shards.length)] as number);
    candidates.add(first + random.int(end - first));
  }
  const scored = await Promise.all(
    [...candidates].map(async (location) => {
      const filled = filledOf(await tile(location, 0), dataset.channels.length);
      return { location, filled };
    }),
  );
  return scored
    .sort((a, b) => b.filled - a.filled || a.location - b.location)
    .map(({ location }) => location)
    .slice(0, CHOSEN);
}

/** Reads tiles; each shard is opened once. */
function tileReader(reader: DatasetReader): City["tile"] {
  const opened = new Map<number, Promise<ShardReader | undefined>>();
  return async (location, sample) => {
    const number = shardOf(reader.dataset, location);
    const opening = opened.get(number) ?? reader.openShard(number, { whole: false });
    opened.set(number, opening);
    const shard = await opening;
    if (shard === undefined)
      throw new FarmError(
        "shards-missing",
        `${reader.shardKey(number)}: the shard is missing`,
        "pnpm farm:work renders it",
      );
    return shard.tile(location, sample);
  };
}
