import { readEmbeddings } from "@loc2vec/atlas";
import {
  type Box,
  type CheckpointChoice,
  checkName,
  checkSource,
  FarmError,
  LOCATION_KINDS,
  withinBox,
} from "@loc2vec/core";
import { createEmbedder, describeArchitecture, embeddingSize } from "@loc2vec/encoder";
import { type Profile, readImportInfo, requireImport } from "@loc2vec/gis";
import { openProbe, type Prediction, predict, type SavedProbe } from "@loc2vec/probe";
import { createRasterizer, openMapTiles, type RendererKind } from "@loc2vec/rasterizer";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import { type Neighbours, openNeighbours } from "@loc2vec/space";
import { checkCartography, openCheckpoint, openTiles } from "@loc2vec/trainer";
import { openBatches, openGate } from "./batches.ts";
import { type MapPictures, openMapPictures } from "./map-pictures.ts";
import type { Metrics } from "./metrics.ts";
import { beyondMap, overloaded, probeMissing, probeOfOthers } from "./refusals.ts";
import type { Spot } from "./schemas.ts";

/** Spots that are drawn or embedded at a time: each holds a tile. */
const AT_A_TIME = 128;
/** Spots that may wait for it. */
const MOST_WAITING = 2048;
const ANCHOR = { rotation: 0, dx: 0, dy: 0 };

export interface ServedOptions {
  store: ObjectStore;
  databaseUrl: string;
  profile: Profile;
  /** The renderer of the settings, which must be the data set's. */
  renderer: RendererKind;
  dataset: string;
  model: string;
  checkpoint?: CheckpointChoice | undefined;
  log: (line: string) => void;
}

/** A data set with a model's vectors, and what makes a vector of any spot of its map. */
export interface Served {
  readonly facts: {
    model: string;
    step: number;
    architecture: string;
    turns: number;
    size: number;
    channels: string[];
    dataset: string;
    n: number;
    map: { name: string; box: Box };
    attribution: string;
  };
  /** Of the data set's vectors, row for location. */
  readonly neighbours: Neighbours;
  readonly places: { lon: Float64Array; lat: Float64Array };
  kind(location: number): string;
  label(location: number): string | undefined;
  /**
   * Draws spots from the map as the data set's anchors are drawn, and embeds them, in their order.
   *
   * @param fields names of the spots in the request
   * @throws RefusedError 422 for a spot beyond the map, 503 where too many wait already; FarmError `service`
   */
  embed(spots: readonly Spot[], fields: readonly string[], signal: AbortSignal): Promise<Float32Array[]>;
  /**
   * What a saved probe says of spots, in their order: see {@link Served.embed}.
   *
   * @throws RefusedError 404 where there is no probe of that name, 409 for one of other vectors than those that are served
   */
  predict(
    name: string,
    spots: readonly Spot[],
    fields: readonly string[],
    signal: AbortSignal,
  ): Promise<{ probe: SavedProbe; predictions: Prediction[] }>;
  /** A location's anchor, planar uint8 [channel, y, x]. @throws FarmError `shards-missing`, `damaged` */
  tile(location: number): Promise<Uint8Array>;
  readonly pictures: MapPictures;
  /** @throws FarmError when the map cannot be read now, or another one is imported */
  checkMap(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens what is served.
 *
 * @throws FarmError `cartography-mismatch` where data set, model and renderer differ, `map-mismatch` for another map than
 *   the data set's, `embeddings-missing` where there are none by this checkpoint; what opening data set, model and map throw
 */
export async function openServed(options: ServedOptions, metrics: Metrics): Promise<Served> {
  const { store, databaseUrl, profile, renderer, model, log } = options;
  const reader = await openDataset(store, options.dataset);
  const { dataset } = reader;
  const n = dataset.locations;
  const { settings, weights, weightsSha256, step } = await openCheckpoint(
    store,
    checkName("model", model),
    options.checkpoint,
  );
  checkCartography(model, settings, dataset);
  const vectors = await readEmbeddings(store, reader, model);
  if (vectors.weightsSha256 !== weightsSha256)
    throw new FarmError(
      "embeddings-missing",
      `model ${model} has embedded data set ${dataset.name} with other weights than those of step ${step}`,
      `pnpm farm:embed --model ${model} --dataset ${dataset.name}`,
    );
  const map = await requireImport(databaseUrl, profile);
  const { pixels, radius } = dataset;
  const rasterizer = await createRasterizer({
    ...{ databaseUrl, profile, pixels, radius, kind: renderer, outside: "error" },
    onStage: (stage, ms) => metrics.drawn(stage, ms),
  });
  try {
    checkSource(dataset, rasterizer.source, "this server");
    const [{ lon, lat, kind }, labels] = await Promise.all([reader.locations(0, n), reader.labels()]);
    log(`serve: ${n} locations of ${dataset.name}, by ${model} after step ${step}`);
    const neighbours = await openNeighbours(vectors.data, vectors.size, { places: { lon, lat } });
    const embedder = await createEmbedder(settings.architecture, weights);
    const size = embeddingSize(settings.architecture);
    const batches = openBatches(embedder, size, (tiles, ms) => metrics.embedded(tiles, ms));
    const gate = openGate(AT_A_TIME, MOST_WAITING, () => overloaded("too many spots are waiting"));
    metrics.watch(() => gate.waiting());
    const tiles = openTiles(reader, { whole: false });
    const mapTiles = await openMapTiles(databaseUrl, profile);
    const embed: Served["embed"] = async (spots, fields, signal) => {
      for (const [i, spot] of spots.entries())
        if (!withinBox(map.bbox, spot)) throw beyondMap(fields[i] as string, spot, map.pbf, map.bbox);
      gate.check(spots.length);
      const embedOne = (spot: Spot): Promise<Float32Array> =>
        gate.enter(async () => {
          signal.throwIfAborted();
          const [tile] = await rasterizer.render(spot, [ANCHOR], dataset.levels);
          return batches.embed(tile as Uint8Array);
        });
      const late = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      const ends = await Promise.race([Promise.allSettled(spots.map(embedOne)), late]);
      return ends.map((end) => {
        if (end.status === "rejected") throw end.reason;
        return end.value;
      });
    };
    return {
      facts: {
        ...{ model, step, size, n, channels: [...dataset.channels], dataset: dataset.name },
        ...{
          architecture: describeArchitecture(settings.architecture),
          turns: settings.architecture.turns ?? 1,
        },
        ...{ map: { name: map.pbf, box: map.bbox }, attribution: dataset.attribution },
      },
      neighbours,
      places: { lon, lat },
      kind: (location) => LOCATION_KINDS[kind[location] as number] as string,
      label: (location) => labels.get(location),
      embed,
      async predict(name, spots, fields, signal) {
        const probe = await readProbe(store, name, { model, weightsSha256 });
        return { probe, predictions: predict(probe, await embed(spots, fields, signal)) };
      },
      tile: async (location) => (await tiles.read([{ location, sample: 0 }]))[0] as Uint8Array,
      pictures: openMapPictures(mapTiles, profile, map),
      async checkMap() {
        const now = await readImportInfo(databaseUrl);
        if (now?.sha256 !== map.sha256 || now.importHash !== map.importHash)
          throw new FarmError("map-mismatch", `the map ${map.pbf} is no longer imported`, "import it again");
      },
      async close() {
        await batches.close();
        await Promise.all([rasterizer.close(), mapTiles.close(), embedder.dispose()]);
      },
    };
  } catch (error) {
    await rasterizer.close();
    throw error;
  }
}

/** A probe that takes vectors of these weights. @throws RefusedError 404, 409 */
async function readProbe(
  store: ObjectStore,
  name: string,
  { model, weightsSha256 }: { model: string; weightsSha256: string },
): Promise<SavedProbe> {
  const probe = await openProbe(store, name);
  if (probe === undefined) throw probeMissing(name, model);
  if (probe.weights_sha256 !== weightsSha256) throw probeOfOthers(name, probe.model, model);
  return probe;
}
