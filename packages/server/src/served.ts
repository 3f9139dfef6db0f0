import { type Box, type CheckpointChoice, checkSource, FarmError, LOCATION_KINDS } from "@loc2vec/core";
import { createEmbedder, describeArchitecture } from "@loc2vec/encoder";
import { mask } from "@loc2vec/evaluation";
import { type Exploration, explore, openEmbedded } from "@loc2vec/explorer";
import { type Columns, type EmbeddingTable, type Origin, toBlock } from "@loc2vec/exports";
import {
  channelsOfVenues,
  type NearVenue,
  openVenues,
  type Profile,
  readImportInfo,
  requireImport,
} from "@loc2vec/gis";
import { openProbe, type Prediction, predict, type SavedProbe } from "@loc2vec/probe";
import { createRasterizer, openMapTiles, type RendererKind } from "@loc2vec/rasterizer";
import type { ObjectStore } from "@loc2vec/shards";
import { type Neighbours, openKeptNeighbours } from "@loc2vec/space";
import { MOST_CANDIDATES, mapVenue, type Prior, type Ranked, reachM } from "@loc2vec/venues";
import { openBatches, openGate } from "./batches.ts";
import { checkOnMap, type Look, openLooks } from "./looks.ts";
import { type MapPictures, openMapPictures } from "./map-pictures.ts";
import type { Metrics } from "./metrics.ts";
import { overloaded, probeMissing, probeOfOthers } from "./refusals.ts";
import type { PlaceAsked, Spot } from "./schemas.ts";

/** Spots that are drawn or embedded at a time: each holds a tile. */
const AT_A_TIME = 128;
/** Spots that may wait for it. */
const MOST_WAITING = 2048;

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
  /** Of venues, learnt with this model. */
  venuePrior?: Prior | undefined;
  log: (line: string) => void;
}

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
  /** What classes of venues are weighed by; null where there is none. */
  readonly prior: { model: string; visits: number } | null;
  /**
   * The venues around a fix, the likeliest first; without a prior by distance alone.
   *
   * @throws what {@link embed} throws
   */
  venues(fix: Fix, signal: AbortSignal): Promise<Ranked<NearVenue>[]>;
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
  checkPrior(options.venuePrior, model, embedded.checkpoint.weightsSha256);
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
    const hidden = channelsOfVenues(profile);
    const venues = Object.keys(profile.venues).length > 0 ? openVenues(databaseUrl, profile) : undefined;
    const mapTiles = await openMapTiles(databaseUrl, profile);
    const look = openLooks({ map, dataset, rasterizer, batches, gate });
    const tile = async (location: number): Promise<Uint8Array> =>
      (await embedded.tiles([location]))[0] as Uint8Array;
    const embed: Served["embed"] = async (...asked) => (await look(...asked)).map(({ vector }) => vector);
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
      kind: kindOf,
      label: (location) => labels.get(location),
      tableOf: selectorOf({ lon, lat, vectors, kindOf, labels }, size, {
        ...{ dataset: dataset.name, locationsSha256: embedded.locationsSha256, model, step },
        ...{ weightsSha256: embedded.checkpoint.weightsSha256, attribution: dataset.attribution },
      }),
      embed,
      async look(place, field, signal) {
        if (!("location" in place)) return ((await look([place], [field], signal)) as [Look])[0];
        const vector = neighbours.vector(place.location);
        return { tile: await tile(place.location), vector };
      },
      async predict(name, spots, fields, signal) {
        const { weightsSha256 } = embedded.checkpoint;
        const probe = await readProbe(store, name, { model, weightsSha256 });
        return { probe, predictions: predict(probe, await embed(spots, fields, signal)) };
      },
      async venues(fix, signal) {
        const { venuePrior } = options;
        const fields = ["lon, lat"];
        checkOnMap(map, [fix], fields);
        const show = (drawn: Uint8Array): Uint8Array => mask(drawn, hidden, dataset.channels.length);
        // Distances alone need no embedding.
        const looks = venuePrior === undefined ? [] : await look([fix], fields, signal, show);
        const candidates = (await venues?.near(fix, reachM(fix.sigmaM), MOST_CANDIDATES)) ?? [];
        return mapVenue({ ...fix, embedding: looks[0]?.vector }, candidates, venuePrior);
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
        await Promise.all([rasterizer.close(), mapTiles.close(), embedder.dispose(), venues?.close()]);
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

/** @throws FarmError `data` for a prior that was learnt with another model */
function checkPrior(prior: Prior | undefined, model: string, weightsSha256: string): void {
  if (prior === undefined || prior.weights_sha256 === weightsSha256) return;
  throw new FarmError(
    "data",
    `the prior of venues was learnt from embeddings by model ${prior.model}, with other weights than those of ${model}`,
    "learn it anew with this model: pnpm farm:venues --save",
  );
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
