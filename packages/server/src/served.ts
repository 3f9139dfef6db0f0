import {
  type Box,
  type CheckpointChoice,
  checkSource,
  FarmError,
  LOCATION_KINDS,
  withinBox,
} from "@loc2vec/core";
import { createEmbedder, describeArchitecture } from "@loc2vec/encoder";
import { type Exploration, explore, openEmbedded } from "@loc2vec/explorer";
import { type Columns, type EmbeddingTable, type Origin, toBlock } from "@loc2vec/exports";
import { type Profile, readImportInfo, requireImport } from "@loc2vec/gis";
import { createRasterizer, openMapTiles, type RendererKind } from "@loc2vec/rasterizer";
import type { ObjectStore } from "@loc2vec/shards";
import { type Neighbours, openKeptNeighbours } from "@loc2vec/space";
import { openBatches, openGate } from "./batches.ts";
import { type MapPictures, openMapPictures } from "./map-pictures.ts";
import type { Metrics } from "./metrics.ts";
import { beyondMap, overloaded } from "./refusals.ts";
import type { PlaceAsked, Spot } from "./schemas.ts";

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
  /** Where the index of many vectors is kept for the next start; without it, each start builds one. */
  indexFolder?: string | undefined;
  /** Locations from which on there is an index. Default: as in space. */
  indexedFrom?: number | undefined;
  log: (line: string) => void;
}

/** What the model sees of a place, planar uint8 [channel, y, x], and what it makes of it, float32 [size]. */
export interface Look {
  tile: Uint8Array;
  vector: Float32Array;
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
  /** Some locations, ascending, to be exported: one block. */
  tableOf(locations: Int32Array): EmbeddingTable;
  /**
   * Draws spots from the map as the data set's anchors are drawn, and embeds them, in their order.
   *
   * @param fields names of the spots in the request
   * @throws RefusedError 422 for a spot beyond the map, 503 where too many wait already; FarmError `service`
   */
  embed(spots: readonly Spot[], fields: readonly string[], signal: AbortSignal): Promise<Float32Array[]>;
  /** A place's tile and its vector, drawn and embedded where it is a spot. @throws as {@link Served.embed} and {@link Served.tile} */
  look(place: PlaceAsked, field: string, signal: AbortSignal): Promise<Look>;
  /** A location's anchor, planar uint8 [channel, y, x]. @throws FarmError `shards-missing`, `damaged` */
  tile(location: number): Promise<Uint8Array>;
  readonly pictures: MapPictures;
  /** What the explorer's page asks for. */
  readonly exploration: Exploration;
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
  const embedded = await openEmbedded(store, options.dataset, model, options.checkpoint);
  const { dataset, vectors, size, labels } = embedded;
  const { settings, weights, step } = embedded.checkpoint;
  const { lon, lat, kind } = embedded.places;
  const n = dataset.locations;
  const map = await requireImport(databaseUrl, profile);
  const { pixels, radius } = dataset;
  const rasterizer = await createRasterizer({
    ...{ databaseUrl, profile, pixels, radius, kind: renderer, outside: "error" },
    onStage: (stage, ms) => metrics.drawn(stage, ms),
  });
  try {
    checkSource(dataset, rasterizer.source, "this server");
    log(`serve: ${n} locations of ${dataset.name}, by ${model} after step ${step}`);
    const neighbours = await openKeptNeighbours(vectors, size, {
      ...{ places: { lon, lat }, folder: options.indexFolder, indexedFrom: options.indexedFrom },
      log: (line) => log(`serve: ${line}`),
    });
    const kindOf = (location: number): string => LOCATION_KINDS[kind[location] as number] as string;
    const embedder = await createEmbedder(settings.architecture, weights);
    const batches = openBatches(embedder, size, (tiles, ms) => metrics.embedded(tiles, ms));
    const gate = openGate(AT_A_TIME, MOST_WAITING, () => overloaded("too many spots are waiting"));
    metrics.watch(() => gate.waiting());
    const exploration = explore(embedded, profile, { mapBox: map.bbox });
    const mapTiles = await openMapTiles(databaseUrl, profile);
    /** Draws and embeds spots, in their order, a few at a time. */
    const look = async (
      spots: readonly Spot[],
      fields: readonly string[],
      signal: AbortSignal,
    ): Promise<Look[]> => {
      for (const [i, spot] of spots.entries())
        if (!withinBox(map.bbox, spot)) throw beyondMap(fields[i] as string, spot, map.pbf, map.bbox);
      gate.check(spots.length);
      const lookAt = (spot: Spot): Promise<Look> =>
        gate.enter(async () => {
          signal.throwIfAborted();
          const [tile] = (await rasterizer.render(spot, [ANCHOR], dataset.levels)) as [Uint8Array];
          return { tile, vector: await batches.embed(tile) };
        });
      const late = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      const ends = await Promise.race([Promise.allSettled(spots.map(lookAt)), late]);
      return ends.map((end) => {
        if (end.status === "rejected") throw end.reason;
        return end.value;
      });
    };
    const tile = async (location: number): Promise<Uint8Array> =>
      (await embedded.tiles([location]))[0] as Uint8Array;
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
      kind: kindOf,
      label: (location) => labels.get(location),
      tableOf: selectorOf({ lon, lat, vectors, kindOf, labels }, size, {
        ...{ dataset: dataset.name, locationsSha256: embedded.locationsSha256, model, step },
        ...{ weightsSha256: embedded.checkpoint.weightsSha256, attribution: dataset.attribution },
      }),
      embed: async (...asked) => (await look(...asked)).map(({ vector }) => vector),
      async look(place, field, signal) {
        if (!("location" in place)) return ((await look([place], [field], signal)) as [Look])[0];
        const vector = neighbours.vector(place.location);
        return { tile: await tile(place.location), vector };
      },
      tile,
      exploration,
      pictures: openMapPictures(mapTiles, profile, map),
      async checkMap() {
        const now = await readImportInfo(databaseUrl);
        if (now?.sha256 !== map.sha256 || now.importHash !== map.importHash)
          throw new FarmError("map-mismatch", `the map ${map.pbf} is no longer imported`, "import it again");
      },
      async close() {
        exploration.close();
        await neighbours.close();
        await batches.close();
        await Promise.all([rasterizer.close(), mapTiles.close(), embedder.dispose()]);
      },
    };
  } catch (error) {
    await rasterizer.close();
    throw error;
  }
}

/** Makes tables of some of the locations. */
function selectorOf(
  { labels, ...columns }: Omit<Columns, "first" | "labelOf"> & { labels: ReadonlyMap<number, string> },
  size: number,
  origin: Origin,
): Served["tableOf"] {
  const all = { ...columns, first: 0, labelOf: (location: number) => labels.get(location) };
  return (locations) => ({
    ...{ rows: locations.length, size, labelled: labels.size > 0, origin },
    async *blocks() {
      yield toBlock(locations, all, size);
    },
  });
}
