import { readEmbeddings } from "@loc2vec/atlas";
import {
  type Box,
  type CheckpointChoice,
  checkName,
  checkSource,
  type Dataset,
  FarmError,
  LOCATION_KINDS,
  withinBox,
} from "@loc2vec/core";
import { createEmbedder, describeArchitecture, embeddingSize } from "@loc2vec/encoder";
import { mask } from "@loc2vec/evaluation";
import {
  channelsOfVenues,
  type ImportInfo,
  type NearVenue,
  openVenues,
  type Profile,
  readImportInfo,
  requireImport,
} from "@loc2vec/gis";
import { createRasterizer, openMapTiles, type Rasterizer, type RendererKind } from "@loc2vec/rasterizer";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import { type Neighbours, openNeighbours } from "@loc2vec/space";
import { checkCartography, openCheckpoint, openTiles } from "@loc2vec/trainer";
import { MOST_CANDIDATES, mapVenue, type Prior, type Ranked, reachM } from "@loc2vec/venues";
import { type Batches, openBatches, openGate } from "./batches.ts";
import { type MapPictures, openMapPictures } from "./map-pictures.ts";
import type { Metrics } from "./metrics.ts";
import { beyondMap, overloaded } from "./refusals.ts";
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
  /** Of venues, learnt with this model. */
  venuePrior?: Prior | undefined;
  log: (line: string) => void;
}

/** @param show what of a tile is embedded; default all */
type EmbedSpots = (
  spots: readonly Spot[],
  fields: readonly string[],
  signal: AbortSignal,
  show?: (tile: Uint8Array) => Uint8Array,
) => Promise<Float32Array[]>;

/** A spot as a receiver told it. */
export interface Fix extends Spot {
  /** Standard deviation in each axis, metres. */
  sigmaM: number;
  /** Of the day, local time, where it is known. */
  hour?: number | undefined;
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
  embed: EmbedSpots;
  /** What classes of venues are weighed by; null where there is none. */
  readonly prior: { model: string; visits: number } | null;
  /**
   * The venues around a fix, the likeliest first; without a prior by distance alone.
   *
   * @throws what {@link embed} throws
   */
  venues(fix: Fix, signal: AbortSignal): Promise<Ranked<NearVenue>[]>;
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
  checkPrior(options.venuePrior, model, weightsSha256);
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
    const hidden = channelsOfVenues(profile);
    const venues = Object.keys(profile.venues).length > 0 ? openVenues(databaseUrl, profile) : undefined;
    const mapTiles = await openMapTiles(databaseUrl, profile);
    const embed = drawAndEmbed({ map, dataset, rasterizer, batches, gate });
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
      prior: options.venuePrior === undefined ? null : { model, visits: options.venuePrior.visits },
      places: { lon, lat },
      kind: (location) => LOCATION_KINDS[kind[location] as number] as string,
      label: (location) => labels.get(location),
      embed,
      async venues(fix, signal) {
        const show = (tile: Uint8Array): Uint8Array => mask(tile, hidden, dataset.channels.length);
        const [embedding] = await embed([fix], ["lon, lat"], signal, show);
        const candidates = (await venues?.near(fix, reachM(fix.sigmaM), MOST_CANDIDATES)) ?? [];
        return mapVenue({ ...fix, embedding }, candidates, options.venuePrior);
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
        await Promise.all([rasterizer.close(), mapTiles.close(), embedder.dispose(), venues?.close()]);
      },
    };
  } catch (error) {
    await rasterizer.close();
    throw error;
  }
}

interface Drawing {
  map: ImportInfo;
  dataset: Dataset;
  rasterizer: Rasterizer;
  batches: Batches;
  gate: ReturnType<typeof openGate>;
}

/** See {@link Served.embed}. */
const drawAndEmbed =
  ({ map, dataset, rasterizer, batches, gate }: Drawing): EmbedSpots =>
  async (spots, fields, signal, show = (tile) => tile) => {
    for (const [i, spot] of spots.entries())
      if (!withinBox(map.bbox, spot)) throw beyondMap(fields[i] as string, spot, map.pbf, map.bbox);
    gate.check(spots.length);
    const embedOne = (spot: Spot): Promise<Float32Array> =>
      gate.enter(async () => {
        signal.throwIfAborted();
        const [tile] = await rasterizer.render(spot, [ANCHOR], dataset.levels);
        return batches.embed(show(tile as Uint8Array));
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

/** @throws FarmError `data` for a prior that was learnt with another model */
function checkPrior(prior: Prior | undefined, model: string, weightsSha256: string): void {
  if (prior === undefined || prior.weights_sha256 === weightsSha256) return;
  throw new FarmError(
    "data",
    `the prior of venues was learnt from embeddings by model ${prior.model}, with other weights than those of ${model}`,
    "learn it anew with this model: pnpm farm:venues --save",
  );
}
