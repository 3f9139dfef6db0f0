import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  checkName,
  datasetIdentitySchema,
  describeIdentity,
  distanceM,
  errorMessage,
  FarmError,
  footprint,
  LOCATION_KINDS,
  randomOf,
  Stream,
  sameDataset,
  shardCount,
  shardOf,
  shardRange,
} from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import {
  type Coordinates,
  type DatasetReader,
  listShards,
  type ObjectStore,
  openDataset,
  readArray,
  readGroup,
  type ShardReader,
} from "@loc2vec/shards";
import { lossSvg } from "./chart.ts";
import { cityMap, embeddingColours } from "./citymap.ts";
import { type Neighbour, nearest } from "./neighbours.ts";
import { type Figure, renderPage } from "./page.ts";
import { channelPicture, composeRgb, encodePng, type Picture, sheet } from "./picture.ts";

/** A folder that holds it was written here, and may be replaced. */
const MARK = ".loc2vec-report";
const CANDIDATES = 40;
const NEIGHBOURS = 8;

export interface ReportOptions {
  store: ObjectStore;
  dataset: string;
  /** Adds the loss curve, the city map and the neighbours. */
  model?: string;
  profile: Profile;
  /** Made or, if it is an earlier report, replaced. */
  folder: string;
  log?: (line: string) => void;
}

export interface Report {
  /** Path of the page. */
  index: string;
  /** Paths of its pictures. */
  pictures: string[];
}

/**
 * Draws figures 4, 5, 6 and 9 of a data set (Loc2Vec, 2018), and of a model its loss, figure 18 and nearest neighbours.
 *
 * @throws FarmError `input` when nothing is rendered yet, or the model or its embeddings are missing; `data` for damaged
 *   shards; `usage` for a folder that holds something else
 */
export async function writeReport(options: ReportOptions): Promise<Report> {
  const folder = resolve(options.folder);
  if (existsSync(folder) && !existsSync(join(folder, MARK)) && (await readdir(folder)).length > 0) {
    throw new FarmError(
      "usage",
      `${folder} holds something that is not a report`,
      "name another folder with --out",
    );
  }
  let work: string;
  try {
    await mkdir(dirname(folder), { recursive: true });
    work = await mkdtemp(`${folder}.new-`);
  } catch (error) {
    throw new FarmError("service", `${folder}: ${errorMessage(error)}`, "name another folder with --out", {
      cause: error,
    });
  }
  try {
    const files = await draw(options, work);
    await writeFile(join(work, MARK), "");
    await chmod(work, 0o755);
    await rm(folder, { recursive: true, force: true });
    await rename(work, folder);
    return { index: join(folder, "index.html"), pictures: files.map((file) => join(folder, file)) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Draws everything into a folder. @returns the pictures' names */
async function draw(
  { store, dataset: name, model, profile, log = () => {} }: ReportOptions,
  folder: string,
): Promise<string[]> {
  const reader = await openDataset(store, name);
  const { dataset } = reader;
  if (dataset.channels.join() !== profile.channels.map((channel) => channel.name).join()) {
    throw new FarmError(
      "data",
      `data set ${name} has other channels than the profile ${profile.name}`,
      "set FARM_STYLE to the profile it was rendered with",
    );
  }
  const shards = [...(await listShards(store, dataset))].sort((a, b) => a - b);
  if (shards.length === 0)
    throw new FarmError("input", `data set ${name}: no shard is rendered yet`, "pnpm farm:work renders them");
  const tiles = tileReader(reader);
  const places = await reader.locations(0, dataset.locations);
  const random = randomOf(dataset.seed, Stream.evaluate);
  const files: string[] = [];
  const figures: Figure[] = [];
  const save = async (file: string, picture: Picture, zoom = 1): Promise<string> => {
    await writeFile(join(folder, file), await encodePng(picture, zoom));
    files.push(file);
    return file;
  };
  const rgb = async (location: number, sample: number): Promise<Picture> =>
    composeRgb(await tiles(location, sample), profile);

  log("report: locations, augmentations, channels, triplets");
  const chosen = await chooseLocations(dataset, shards, tiles, random);
  const at = (i: number): number => chosen[i % chosen.length] as number;
  const first = chosen.slice(0, 6);
  figures.push({
    title: "Locations (figure 4)",
    caption: `What lies within ${dataset.radius} m of ${first.length} locations, in the colours of a map. For people only: the network sees the channels.`,
    pictures: await Promise.all(
      first.map(async (location) => ({
        file: await save(`location-${location}.png`, await rgb(location, 0), 2),
        alt: `Map around location ${location}`,
        below: describePlace(places, location),
      })),
    ),
  });
  const shown = Math.min(dataset.samples, 8);
  const augmented = await Promise.all(
    [0, 1, 2].map((i) => Promise.all(Array.from({ length: shown }, (_, sample) => rgb(at(i), sample)))),
  );
  figures.push({
    title: "Rotated and shifted (figure 5)",
    caption: `Three anchors (left), and ${shown - 1} of the ${dataset.samples - 1} positives of each: the same place, turned by any angle${dataset.augmentation.rotate ? "" : " (off here)"} and shifted by up to ${dataset.augmentation.maxOffset} m in both axes before it is rasterized.`,
    pictures: [
      { file: await save("augmentation.png", sheet(augmented)), alt: "Anchors and their positives" },
    ],
  });
  const anchor = await tiles(at(0), 0);
  const channels: { file: string; alt: string; below?: string }[] = [];
  for (const [channel, { name: id, title }] of profile.channels.entries()) {
    const file = await save(
      `channel-${String(channel + 1).padStart(2, "0")}-${id}.png`,
      channelPicture(anchor, channel, profile.channels.length),
    );
    channels.push({ file, alt: title, below: `${channel + 1} ${id}` });
  }
  figures.push({
    title: `The ${profile.channels.length} channels (figure 6)`,
    caption: `The first location as the network sees it: one kind of map object per channel, ${dataset.pixels} × ${dataset.pixels} bytes each.`,
    pictures: channels,
  });
  const triplets = await Promise.all(
    [0, 1, 2, 3].map((i) =>
      Promise.all([rgb(at(i), 0), rgb(at(i), 1 % dataset.samples), rgb(at(i + 1), 2 % dataset.samples)]),
    ),
  );
  figures.push({
    title: "Triplets (figure 9)",
    caption:
      "Per row: anchor, positive (the same place, turned and shifted), negative (another place). The network learns to bring the first two together and to keep the third away.",
    pictures: [
      { file: await save("triplets.png", sheet(triplets)), alt: "Rows of anchor, positive and negative" },
    ],
  });

  const facts: [string, string][] = [
    ["data set", dataset.name],
    ["locations", String(dataset.locations)],
    ["tiles", String(dataset.locations * dataset.samples)],
    ["rendered shards", `${shards.length} of ${shardCount(dataset)}`],
    ["seed", String(dataset.seed)],
    ["renderer", dataset.source.renderer],
    ["style", dataset.source.styleHash.slice(0, 12)],
  ];
  if (model !== undefined) {
    log("report: loss, city map, neighbours");
    const history = await readLosses(store, model);
    await writeFile(join(folder, "loss.svg"), lossSvg(history));
    files.push("loss.svg");
    const [start, end] = [mean(history.slice(0, 5)), mean(history.slice(-5))];
    figures.push({
      title: "Loss",
      caption: `SoftPN loss by step: mean of the first 5 steps ${start.toFixed(4)}, of the last 5 ${end.toFixed(4)}; 0.25 is chance.`,
      pictures: [{ file: "loss.svg", alt: "Loss by step" }],
    });
    facts.push(["model", model], ["steps", String(history.length)]);
    figures.push(
      ...(await embeddingFigures({ store, reader, model, places, tiles, profile, shards, save, random })),
    );
  }
  const page = renderPage({
    title: `Loc2Vec: ${dataset.name}`,
    facts,
    figures,
    attribution: dataset.attribution,
  });
  await writeFile(join(folder, "index.html"), page);
  return files;
}

interface EmbeddingInput {
  store: ObjectStore;
  reader: DatasetReader;
  model: string;
  places: Coordinates;
  tiles: (location: number, sample: number) => Promise<Uint8Array>;
  profile: Profile;
  shards: readonly number[];
  save: (file: string, picture: Picture, zoom?: number) => Promise<string>;
  random: ReturnType<typeof randomOf>;
}

async function embeddingFigures({
  store,
  reader,
  model,
  places,
  tiles,
  profile,
  shards,
  save,
  random,
}: EmbeddingInput): Promise<Figure[]> {
  const { dataset } = reader;
  const prefix = `models/${checkName("model", model)}/embeddings/${dataset.name}`;
  // The group is written last: until then not all vectors are there.
  const whole = await readGroup(store, prefix);
  const found = whole && (await readArray(store, `${prefix}/embedding`, "float32"));
  if (found === undefined) {
    throw new FarmError(
      "input",
      `model ${model} has not embedded data set ${dataset.name}`,
      `pnpm farm:embed --model ${model} --dataset ${dataset.name}`,
    );
  }
  const { data: embedded } = datasetIdentitySchema.safeParse(whole?.dataset_identity);
  if (embedded === undefined || !sameDataset(embedded, reader.identity)) {
    const was = embedded === undefined ? "another data set of that name" : describeIdentity(embedded);
    throw new FarmError(
      "data",
      `model ${model} has embedded ${was}; what has that name now is ${describeIdentity(reader.identity)}`,
      `pnpm farm:embed --model ${model} --dataset ${dataset.name}`,
    );
  }
  const [rows, size] = found.shape as [number, number];
  const { data } = found;
  if (rows !== dataset.locations)
    throw new FarmError(
      "data",
      `${prefix}: ${rows} embeddings for ${dataset.locations} locations`,
      "pnpm farm:embed again",
    );
  const { colours, explained } = embeddingColours(found.data, size);
  const map = cityMap(places.lon, places.lat, colours);
  const percent = explained.map((share) => `${(100 * share).toFixed(0)} %`).join(", ");
  const figures: Figure[] = [
    {
      title: "The city by its embeddings (figure 18)",
      caption: `${rows} locations, coloured by their ${size}-D embeddings reduced to red, green and blue by PCA (variance explained: ${percent}). Like colours are like surroundings. North is up; the picture is ${((map.width * map.metresPerPixel) / 1000).toFixed(1)} km wide.`,
      pictures: [
        { file: await save("city.png", map), alt: "City map of locations coloured by their embeddings" },
      ],
    },
  ];
  const here = (i: number) => ({ lon: places.lon[i] as number, lat: places.lat[i] as number });
  const rendered = new Set(shards);
  const has = (i: number): boolean => rendered.has(shardOf(dataset, i));
  const candidates = random.shuffle(Array.from({ length: rows }, (_, i) => i).filter(has)).slice(0, 6);
  // Windows of one size about places this far apart share nothing of the map.
  const apart = 2 * footprint(dataset.radius, 0).reachM;
  const strips: Figure["pictures"][number][] = [];
  for (const query of candidates) {
    // Neither the place itself nor one place twice.
    const near: Neighbour[] = [];
    for (const found of nearest(data, size, query, rows, has)) {
      if (near.length === NEIGHBOURS) break;
      if (
        [query, ...near.map(({ index }) => index)].every((i) => distanceM(here(found.index), here(i)) > apart)
      )
        near.push(found);
    }
    const strip = await Promise.all(
      [query, ...near.map(({ index }) => index)].map(async (i) => composeRgb(await tiles(i, 0), profile)),
    );
    const distances = near.map(
      ({ index, distance }) =>
        `${distance.toFixed(2)} (${Math.round(distanceM(here(query), here(index)))} m)`,
    );
    strips.push({
      file: await save(`neighbours-${query}.png`, sheet([strip])),
      alt: `Location ${query} and its nearest neighbours`,
      below: `distances in embedding space (and on the ground): ${distances.join(", ")}`,
    });
  }
  figures.push({
    title: "Nearest neighbours",
    caption: `A location (left) and those nearest to it in embedding space. Only places more than ${Math.round(apart)} m away, and as far from one another, are shown: nearer ones share parts of the map, and would be found by any method.`,
    pictures: strips,
  });
  return figures;
}

/** Locations with something to see, chosen by the data set's seed: of some random ones those with the fullest tiles. */
async function chooseLocations(
  dataset: DatasetReader["dataset"],
  shards: readonly number[],
  tiles: EmbeddingInput["tiles"],
  random: EmbeddingInput["random"],
): Promise<number[]> {
  const candidates = new Set<number>();
  for (let i = 0; i < 4 * CANDIDATES && candidates.size < CANDIDATES; i++) {
    const { first, end } = shardRange(dataset, shards[random.int(shards.length)] as number);
    candidates.add(first + random.int(end - first));
  }
  const area = dataset.pixels ** 2;
  const scored = await Promise.all(
    [...candidates].map(async (location) => {
      const tile = await tiles(location, 0);
      let filled = 0;
      for (let channel = 0; channel < dataset.channels.length; channel++) {
        if (tile.subarray(channel * area, (channel + 1) * area).some((value) => value > 0)) filled++;
      }
      return { location, filled };
    }),
  );
  return scored
    .sort((a, b) => b.filled - a.filled || a.location - b.location)
    .map(({ location }) => location)
    .slice(0, 12);
}

/** Reads tiles; each shard is fetched once. */
function tileReader(reader: DatasetReader): EmbeddingInput["tiles"] {
  const open = new Map<number, Promise<ShardReader | undefined>>();
  return async (location, sample) => {
    const shard = shardOf(reader.dataset, location);
    const opened = open.get(shard) ?? reader.openShard(shard, { whole: false });
    open.set(shard, opened);
    const found = await opened;
    if (found === undefined)
      throw new FarmError(
        "data",
        `${reader.shardKey(shard)}: the shard is missing`,
        "pnpm farm:work renders it",
      );
    return found.tile(location, sample);
  };
}

async function readLosses(store: ObjectStore, model: string): Promise<number[]> {
  const keys: string[] = [];
  for await (const key of store.list(`models/${checkName("model", model)}/history`)) keys.push(key);
  if (keys.length === 0)
    throw new FarmError(
      "input",
      `there is no model ${model} in ${store.url}`,
      "make it with pnpm farm:train",
    );
  // `history.ndjson`, then `history-<first step>.ndjson`: a later file replaces what an earlier one says of its steps.
  const losses = new Map<number, number>();
  for (const key of keys.sort((a, b) => a.length - b.length || a.localeCompare(b))) {
    const lines = new TextDecoder().decode(await store.get(key)).split("\n");
    for (const line of lines.filter((each) => each !== "")) {
      const { step, loss } = JSON.parse(line) as { step: number; loss: number };
      losses.set(step, loss);
    }
  }
  return [...losses.values()];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function describePlace({ lon, lat, kind }: Coordinates, location: number): string {
  const degrees = [lon[location], lat[location]].map((value) => (value as number).toFixed(5)).join(", ");
  return `${location}: ${LOCATION_KINDS[kind[location] as number]}, ${degrees}`;
}
