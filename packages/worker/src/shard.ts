import {
  checkSource,
  type Dataset,
  type ErrorCode,
  errorMessage,
  FarmError,
  LocationError,
  locationTransforms,
  MismatchError,
  type Quarantined,
  type RasterJob,
  type ShardResult,
  shardCount,
  shardRange,
} from "@loc2vec/core";
import {
  inspectShard,
  type ObjectStore,
  openDataset,
  readQuarantine,
  type ShardFacts,
  writeQuarantine,
  writeShard,
} from "@loc2vec/shards";
import type { TileRenderer } from "./tile-renderer.ts";

export interface RenderShardOptions {
  store: ObjectStore;
  job: Pick<RasterJob, "dataset" | "shard">;
  rasterizer: TileRenderer;
  /** Looked at before each location; its reason is thrown. */
  signal?: AbortSignal | undefined;
  /** Called after each location. */
  onLocation?: (done: number, total: number) => void;
}

export interface RenderedShard extends ShardResult {
  /** The shard was there, whole and undamaged: nothing was rendered. */
  skipped: boolean;
}

/**
 * Renders one shard of a data set and writes it to the store, unless it is there already. Every byte follows from the
 * data set, the map and the cartography, so doing it again, or twice at once, gives the same object.
 *
 * A location that cannot be rendered (LocationError) is set aside: its tiles are empty, and its index and the reason are written beside
 * the shard. When it is more than half of several locations, the fault is not theirs, and the shard fails.
 *
 * The data set is read anew for each shard: a few small reads against minutes of rendering, and no worker can go on
 * with a data set that was removed and made again.
 *
 * @throws FarmError `input` when there is no such data set; `data` when there is no such shard; MismatchError when its tiles are
 * drawn from another map or with another cartography than this rasterizer's; `service` when store or map cannot be reached; else what the rasterizer throws, with the location's index, lon and lat
 */
export async function renderShard(options: RenderShardOptions): Promise<RenderedShard> {
  const { store, job, rasterizer } = options;
  const started = performance.now();
  const opened = await openDataset(store, job.dataset);
  const { dataset } = opened;
  if (job.shard >= shardCount(dataset)) {
    throw new FarmError(
      "data",
      `data set ${job.dataset}: shard ${job.shard} of ${shardCount(dataset)} does not exist`,
      "remove the job; pnpm farm:enqueue writes good ones",
    );
  }
  checkSourceOf(dataset, rasterizer);
  const { first, end } = shardRange(dataset, job.shard);
  const present = await presentShard(store, dataset, job.shard);
  if (present !== undefined) {
    return {
      shard: job.shard,
      ...present,
      renderMs: 0,
      encodeMs: 0,
      writeMs: 0,
      ms: performance.now() - started,
      skipped: true,
    };
  }
  const { lon, lat } = await opened.locations(first, end);
  let renderMs = 0;
  const aside: Quarantined[] = [];
  let firstError: FarmError | undefined;
  async function* tiles(): AsyncGenerator<Uint8Array | undefined> {
    for (let i = 0; i < end - first; i++) {
      const location = { lon: lon[i] as number, lat: lat[i] as number };
      options.signal?.throwIfAborted();
      const begin = performance.now();
      const rendered = await renderLocation(dataset, rasterizer, job, first + i, location).catch(
        (error: FarmError) => {
          if (!(error.cause instanceof LocationError)) throw error;
          firstError ??= error;
          aside.push({ location: first + i, reason: error.line });
          if (aside.length > 1 && 2 * aside.length > end - first) throw firstError;
          return Array<undefined>(dataset.samples).fill(undefined);
        },
      );
      renderMs += performance.now() - begin;
      yield* rendered;
      options.onLocation?.(i + 1, end - first);
    }
    // Before the object: a shard that is there has told all.
    await writeQuarantine(store, dataset, job.shard, aside);
  }
  const written = await writeShard(store, dataset, job.shard, tiles());
  return {
    shard: job.shard,
    ...written,
    quarantined: aside.length,
    renderMs,
    ms: performance.now() - started,
    skipped: false,
  };
}

/** What is in the store of a shard; undefined when it is not there, or damaged, so that it must be rendered. */
async function presentShard(
  store: ObjectStore,
  dataset: Dataset,
  shard: number,
): Promise<(ShardFacts & { quarantined: number }) | undefined> {
  try {
    const facts = await inspectShard(store, dataset, shard);
    if (facts === undefined) return undefined;
    return { ...facts, quarantined: (await readQuarantine(store, dataset, shard)).length };
  } catch (error) {
    if (error instanceof FarmError && error.kind === "data") return undefined;
    throw error;
  }
}

/** @throws MismatchError `data` naming both sides, when a rasterizer would draw other tiles than the data set's */
function checkSourceOf(dataset: Dataset, { channels, source }: TileRenderer): void {
  if (channels !== undefined && channels.join() !== dataset.channels.join()) {
    throw new MismatchError(
      "cartography-mismatch",
      `data set ${dataset.name} has the channels ${dataset.channels.join(" ")}; this worker draws ${channels.join(" ")}`,
      "work with the profile (FARM_STYLE) that it was enqueued with, or enqueue a data set of another name",
    );
  }
  checkSource(dataset, source, "this worker");
}

async function renderLocation(
  dataset: Dataset,
  rasterizer: TileRenderer,
  { shard }: Pick<RasterJob, "shard">,
  index: number,
  { lon, lat }: { lon: number; lat: number },
): Promise<readonly Uint8Array[]> {
  const place = `data set ${dataset.name}, shard ${shard}, location ${index} (lon ${degrees(lon)}, lat ${degrees(lat)})`;
  const bytes = dataset.channels.length * dataset.pixels ** 2;
  try {
    const tiles = await rasterizer.render(
      { lon, lat },
      locationTransforms(dataset, index),
      dataset.levels ?? 256,
    );
    if (tiles.length !== dataset.samples || tiles.some((tile) => tile.length !== bytes)) {
      throw new FarmError(
        "internal",
        `the rasterizer gave ${tiles.length} tiles of ${tiles[0]?.length} bytes instead of ${dataset.samples} of ${bytes}`,
      );
    }
    return tiles;
  } catch (error) {
    if (error instanceof MismatchError) throw error; // of the worker, not of the location
    const code: ErrorCode = error instanceof FarmError ? error.code : "internal";
    const mend = error instanceof FarmError ? error.mend : "";
    const message = error instanceof FarmError ? error.message : errorMessage(error);
    throw new FarmError(code, `${place}: ${message}`, mend, { cause: error });
  }
}

/** To a centimetre: what rounding of the last bit would add is noise to a reader. */
function degrees(value: number): number {
  return Number(value.toFixed(7));
}
