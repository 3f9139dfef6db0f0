import { composeRgb } from "@loc2vec/atlas";
import { type Box, FarmError, LOCATION_KINDS, Purpose, randomOf } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { applyProjection, findRegions, fitPca, gather, tsne, umap } from "@loc2vec/space";
import sharp from "sharp";
import { type About, type Arranging, type Method, SHEET_POINTS, SPRITE_PIXELS } from "./about.ts";
import type { Embedded } from "./embedded.ts";
import { encodeTensors, type Tensor } from "./tensors.ts";

/** Points that a page holds at most: of more locations a sample, drawn by the data set's seed. */
export const MOST_POINTS = 100_000;
/** Parts that the space is divided into, fewer where there are fewer points. */
const REGIONS = 12;
/** Cells of a side of the density, where not every location is a point. */
const DENSITY_CELLS = 512;
/** Fewest points that are arranged: a neighbourhood is at most a third of them. */
const FEWEST_ARRANGED = 16;

/** What a page asks for, of one data set and model. */
export interface Exploration {
  readonly about: About;
  /** Number of points, and of the sheets of their sprites. */
  readonly points: number;
  readonly sheets: number;
  /**
   * All points as safetensors: `row` i32 [n], the location's number; `lon`, `lat` f64 [n], degrees, WGS 84; `kind` u8,
   * `label` i32, `region` u8 [n]; `vector` f32 [n, size]; `pca` f32 [n, 3]; `density` u32 [cells, cells], locations in equal
   * steps of longitude and latitude from the box's north-west.
   */
  encode(): Uint8Array<ArrayBuffer>;
  /**
   * Three dimensions of all points, f32 [n, 3], by t-SNE or UMAP. It is computed once, begun by who asks first.
   *
   * @returns the positions, or how far they are
   * @throws FarmError `input` where there are too few points to tell which are near
   */
  arrange(method: Method): Float32Array | Arranging;
  /** Waits for it. */
  arranged(method: Method): Promise<Float32Array>;
  /** Sprites of 256 points, one below another, WebP. @throws FarmError `shards-missing`, `damaged` */
  sheet(number: number): Promise<Buffer>;
  /** Ends what is being arranged. */
  close(): void;
}

export interface ExploreOptions {
  /** Points at most; of more locations a sample is taken. */
  most?: number;
  /** Of the map whose tiles are served beside it. */
  mapBox?: Box;
}

/** Prepares points to be explored. */
export function explore(
  embedded: Embedded,
  profile: Profile,
  { most = MOST_POINTS, mapBox }: ExploreOptions = {},
): Exploration {
  const { dataset, size } = embedded;
  const rows = rowsOf(dataset.seed, dataset.locations, most);
  const n = rows.length;
  const whole = n === dataset.locations;
  const vectors = whole ? embedded.vectors : gather(embedded.vectors, size, rows);
  const box = boxOf(embedded);
  const projection = fitPca(vectors, size, Math.min(3, size));
  const labels = [...new Set(Array.from(rows, (row) => embedded.labels.get(row) ?? ""))]
    .filter(Boolean)
    .sort();
  const about: About = {
    ...{
      dataset: dataset.name,
      model: embedded.model,
      step: embedded.checkpoint.step,
      locations: dataset.locations,
      size,
    },
    ...{ kinds: [...LOCATION_KINDS], labels, pixels: dataset.pixels, radiusM: dataset.radius },
    ...{ box, mapBox: mapBox === undefined ? null : [...mapBox] },
    channels: profile.channels.map(({ name, title, colour: [red, green, blue] }) => ({
      ...{ name, title, colour: [red, green, blue] },
    })),
    ...{ explained: projection.explained, densityCells: whole ? 0 : DENSITY_CELLS },
    attribution: dataset.attribution,
  };
  let encoded: Uint8Array<ArrayBuffer> | undefined;
  return {
    ...{ about, points: n, sheets: Math.ceil(n / SHEET_POINTS) },
    encode() {
      encoded ??= encodePoints(embedded, {
        rows,
        vectors,
        about,
        pca: threeOf(applyProjection(projection, vectors), n),
      });
      return encoded;
    },
    ...arrangements(vectors, size, dataset.seed),
    async sheet(number) {
      const own = rows.subarray(number * SHEET_POINTS, (number + 1) * SHEET_POINTS);
      return drawSheet(await embedded.tiles([...own]), profile, dataset.pixels);
    },
  };
}

/** All locations, or so many of them drawn by the seed; ascending. */
function rowsOf(seed: number, locations: number, most: number): Int32Array {
  const all = Int32Array.from({ length: locations }, (_, row) => row);
  if (locations <= most) return all;
  const random = randomOf(seed, Purpose.explore);
  for (let i = 0; i < most; i++) {
    const j = i + random.int(locations - i);
    [all[i], all[j]] = [all[j] as number, all[i] as number];
  }
  return all.slice(0, most).sort();
}

function boxOf({ places: { lon, lat } }: Embedded): About["box"] {
  const box: About["box"] = [180, 90, -180, -90];
  for (let row = 0; row < lon.length; row++) {
    const [x, y] = [lon[row] as number, lat[row] as number];
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  return box;
}

/** Principal scores, float64 [n, axes], as three numbers each: 0 on an axis that there is not. */
function threeOf(scores: Float64Array, n: number): Float32Array {
  const axes = scores.length / n;
  const three = new Float32Array(3 * n);
  for (let point = 0; point < n; point++)
    for (let axis = 0; axis < Math.min(3, axes); axis++)
      three[3 * point + axis] = scores[point * axes + axis] as number;
  return three;
}

interface Points {
  rows: Int32Array;
  vectors: Float32Array;
  pca: Float32Array;
  about: About;
}

function encodePoints(
  { dataset, places, labels, size }: Embedded,
  { rows, vectors, pca, about }: Points,
): Uint8Array<ArrayBuffer> {
  const n = rows.length;
  const { regions } = findRegions(
    vectors,
    size,
    Math.min(REGIONS, n),
    randomOf(dataset.seed, Purpose.explore, 1),
  );
  const numbers = new Map(about.labels.map((label, i) => [label, i]));
  const labelled = Int32Array.from(rows, (row) => numbers.get(labels.get(row) ?? "") ?? -1);
  const column = (data: Tensor, width?: number) => ({
    ...{ shape: width === undefined ? [n] : [n, width], data },
  });
  return encodeTensors({
    about: JSON.stringify(about),
    columns: {
      row: column(rows),
      lon: column(Float64Array.from(rows, (row) => places.lon[row] as number)),
      lat: column(Float64Array.from(rows, (row) => places.lat[row] as number)),
      kind: column(Uint8Array.from(rows, (row) => places.kind[row] as number)),
      label: column(labelled),
      region: column(Uint8Array.from(regions)),
      vector: column(vectors, size),
      pca: column(pca, 3),
      ...(about.densityCells === 0
        ? {}
        : { density: { shape: [DENSITY_CELLS, DENSITY_CELLS], data: densityOf(places, about.box) } }),
    },
  });
}

/** Locations in each cell of a box. */
function densityOf({ lon, lat }: Embedded["places"], [west, south, east, north]: About["box"]): Uint32Array {
  const cells = new Uint32Array(DENSITY_CELLS ** 2);
  const cell = (share: number): number => Math.min(DENSITY_CELLS - 1, Math.floor(share * DENSITY_CELLS) || 0);
  for (let row = 0; row < lon.length; row++) {
    const x = cell(((lon[row] as number) - west) / (east - west));
    const y = cell((north - (lat[row] as number)) / (north - south));
    const at = y * DENSITY_CELLS + x;
    cells[at] = (cells[at] as number) + 1;
  }
  return cells;
}

/** Computes t-SNE and UMAP once each, when first asked for. */
function arrangements(
  vectors: Float32Array,
  size: number,
  seed: number,
): Pick<Exploration, "arrange" | "arranged" | "close"> {
  const n = vectors.length / size;
  const stop = new AbortController();
  const progress = new Map<Method, Arranging>();
  const done = new Map<Method, Float32Array>();
  const running = new Map<Method, Promise<Float32Array>>();
  // One after the other: either takes all that there is.
  let last: Promise<unknown> = Promise.resolve();
  const begin = (method: Method): Promise<Float32Array> => {
    const options = {
      dimensions: 3 as const,
      random: randomOf(seed, Purpose.explore, method === "tsne" ? 2 : 3),
      onProgress: (stage: "arranging" | "placing", now: number, all: number) =>
        void progress.set(method, { stage, share: now / Math.max(1, all) }),
      signal: stop.signal,
    };
    const compute = async (): Promise<Float32Array> => {
      const { positions } =
        method === "tsne"
          ? await tsne(vectors, size, { ...options, perplexity: Math.min(30, Math.floor((n - 1) / 4)) })
          : await umap(vectors, size, { ...options, neighbours: Math.min(15, n - 1) });
      done.set(method, positions);
      return positions;
    };
    progress.set(method, { stage: "waiting", share: 0 });
    const promise = last.then(compute).catch((error: unknown) => {
      running.delete(method);
      throw error;
    });
    last = promise.catch(() => {});
    return promise;
  };
  const start = (method: Method): Promise<Float32Array> => {
    if (n < FEWEST_ARRANGED)
      throw new FarmError(
        "input",
        `${method}: ${n} points are too few to be arranged`,
        `look at them by PCA, or enqueue ${FEWEST_ARRANGED} locations or more`,
      );
    const promise = running.get(method) ?? begin(method);
    running.set(method, promise);
    return promise;
  };
  return {
    arrange(method) {
      const positions = done.get(method);
      if (positions !== undefined) return positions;
      // Whoever asks again is told how far it is, and begins anew what failed.
      start(method).catch(() => {});
      return progress.get(method) as Arranging;
    },
    arranged: async (method) => start(method),
    close: () => stop.abort(new FarmError("interrupted", "stopped", "")),
  };
}

/** Tiles as sprites, one below another. @param tiles planar uint8 [channel, y, x] */
async function drawSheet(tiles: readonly Uint8Array[], profile: Profile, pixels: number): Promise<Buffer> {
  const area = SPRITE_PIXELS ** 2;
  const data = new Uint8Array(3 * area * tiles.length);
  for (const [i, tile] of tiles.entries())
    data.set(composeRgb(shrink(tile, profile.channels.length, pixels), profile).data, 3 * area * i);
  return sharp(data, { raw: { width: SPRITE_PIXELS, height: SPRITE_PIXELS * tiles.length, channels: 3 } })
    .webp({ quality: 82 })
    .toBuffer();
}

/** A tile with the means of as many pixels as fall together. @param tile planar uint8 [channel, y, x] */
function shrink(tile: Uint8Array, channels: number, pixels: number): Uint8Array {
  const small = new Uint8Array(channels * SPRITE_PIXELS ** 2);
  const edge = (i: number): number => Math.floor((i * pixels) / SPRITE_PIXELS);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < SPRITE_PIXELS; y++) {
      const [top, bottom] = [edge(y), Math.max(edge(y) + 1, edge(y + 1))];
      for (let x = 0; x < SPRITE_PIXELS; x++) {
        const [left, right] = [edge(x), Math.max(edge(x) + 1, edge(x + 1))];
        let sum = 0;
        for (let row = top; row < bottom; row++) {
          const at = (channel * pixels + row) * pixels;
          for (let column = left; column < right; column++) sum += tile[at + column] as number;
        }
        small[(channel * SPRITE_PIXELS + y) * SPRITE_PIXELS + x] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return small;
}
