import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Picture } from "@loc2vec/atlas";
import type { FarmError } from "@loc2vec/core";
import { ensureDatabase } from "@loc2vec/gis";
import { withDatabase } from "@loc2vec/postgres";
import { type ObjectStore, openDataset, openStore, readArray } from "@loc2vec/shards";
import { parse } from "csv-parse/sync";
import sharp from "sharp";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import {
  type EmbeddingTable,
  FILE_FORMATS,
  MOST_PROJECTED,
  openTable,
  writeProjector,
  writeVectorTable,
  writeWholeFile,
} from "../src/index.ts";
import { startPglite } from "./pglite.ts";
import { LABELS, labelOf, SIZE, writeEmbedded } from "./world.ts";

const run = promisify(execFile);
/** More than a block of rows. */
const ROWS = 66_000;

let home: string;
let store: ObjectStore;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "exports-"));
  store = openStore(`file://${home}/store`);
  await writeEmbedded(store, "city", ROWS);
  await writeEmbedded(store, "town", 40, { labelled: false });
});
afterAll(() => rm(home, { recursive: true, force: true }));

const python = async (script: string, ...args: string[]): Promise<Record<string, unknown>> => {
  const path = join(import.meta.dirname, script);
  const { stdout } = await run(inject("python"), [path, ...args], { maxBuffer: 1 << 26 });
  return JSON.parse(stdout);
};
const failure = (work: Promise<unknown>): Promise<FarmError> =>
  work.then(
    () => expect.unreachable("it was done"),
    (error: FarmError) => error,
  );
const csvOf = async (table: EmbeddingTable): Promise<string> =>
  Buffer.concat(await Array.fromAsync(FILE_FORMATS.csv.encode(table))).toString();
const vectorsOf = async (dataset: string): Promise<Float32Array> =>
  (await readArray(store, `models/m/embeddings/${dataset}/embedding`, "float32"))?.data as Float32Array;

test("GeoPandas, DuckDB, PyArrow and pandas read what the store has, to the last bit", async () => {
  const told: [number, number][] = [];
  const table = await openTable(store, "city", "m", { onProgress: (done, all) => told.push([done, all]) });
  for (const { extension, encode } of Object.values(FILE_FORMATS))
    expect(await writeWholeFile(join(home, `all.${extension}`), encode(table))).toBeGreaterThan(ROWS * SIZE);
  expect(told.slice(0, 2)).toEqual([
    [65_536, ROWS],
    [ROWS, ROWS],
  ]);
  const seen = await python("read_back.py", join(home, "store"), "city", "m", home);
  const origin = { dataset: "city", model: "m", step: 7, attribution: expect.stringContaining("©") };
  expect(seen).toMatchObject({
    ...{ n: ROWS, crs: "OGC:CRS84", rowGroups: 2, batches: 2, origin, arrowOrigin: origin },
    parquetType: "fixed_size_list<element: float not null>[16]",
    arrowType: "fixed_size_list<item: float not null>[16]",
    duckdbCsv: [ROWS, ROWS / 5],
  });
});

test("CSV is RFC 4180: lines end in CRLF, what would break a field is quoted; without labels there is no column of them", async () => {
  const text = await csvOf(await openTable(store, "city", "m", { sample: 3300 }));
  const rows: string[][] = parse(text, { record_delimiter: "\r\n" });
  expect(rows[0]?.slice(0, 6)).toEqual(["location", "lon", "lat", "kind", "label", "embedding_0"]);
  // Each 20th location, all of which have a label.
  expect(rows.slice(1).map(([location, , , , label]) => [location, label])).toEqual(
    Array.from({ length: 3300 }, (_, i) => [String(20 * i), labelOf(20 * i)]),
  );
  expect(new Set(rows.slice(1).map((row) => row[4])).size).toBe(LABELS.length / 2);
  const plain = await csvOf(await openTable(store, "town", "m"));
  const [head, ...lines] = plain.trimEnd().split("\r\n");
  expect(head?.split(",").slice(0, 5)).toEqual(["location", "lon", "lat", "kind", "embedding_0"]);
  expect(Float32Array.from(lines.flatMap((line) => line.split(",").slice(4).map(Number)))).toEqual(
    await vectorsOf("town"),
  );
});

test("a sample is spread evenly, and no larger than the data set", async () => {
  for (const sample of [1, 7, 39, 40]) {
    const table = await openTable(store, "town", "m", { sample });
    const locations = (await Array.fromAsync(table.blocks())).flatMap(({ location }) => [...location]);
    expect(locations).toEqual(Array.from({ length: sample }, (_, i) => Math.floor((i * 40) / sample)));
  }
  for (const sample of [0, 41, 1.5])
    expect((await failure(openTable(store, "town", "m", { sample }))).line).toBe(
      `a sample of ${sample}: data set town has 40 locations (mend: ask for 1 to 40)`,
    );
  expect((await failure(openTable(store, "town", "other"))).code).toBe("embeddings-missing");
});

test("a file that is not finished leaves the one of before, and nothing else", async () => {
  const folder = await mkdtemp(join(home, "whole-"));
  const path = join(folder, "sub/a.csv");
  const encode = async (options: Parameters<typeof openTable>[3]) =>
    FILE_FORMATS.csv.encode(await openTable(store, "city", "m", options));
  await writeWholeFile(path, await encode({ sample: 2 }));
  const before = await readFile(path);
  expect(before.toString().split("\r\n")).toHaveLength(4);
  const stop = new AbortController();
  const onProgress = () => stop.abort(new Error("enough"));
  const { signal } = stop;
  await expect(writeWholeFile(path, await encode({ signal, onProgress }), signal)).rejects.toThrow();
  expect(await readdir(join(folder, "sub"))).toEqual(["a.csv"]);
  expect(await readFile(path)).toEqual(before);
  expect((await failure(writeWholeFile(folder, await encode({ sample: 2 })))).line).toBe(
    `${folder} is a folder (mend: name a file in it)`,
  );
});

/** A square in a colour of its own. */
const square = (location: number): Picture => ({
  ...{ width: 24, height: 24 },
  data: Uint8Array.from({ length: 24 * 24 * 3 }, (_, i) => [location, 255 - location, 77][i % 3] as number),
});
const squares = async (locations: readonly number[]): Promise<Picture[]> => locations.map(square);

test("TensorBoard's Projector shows the vectors, what they are of, and a picture of each", async () => {
  const folder = join(home, "projector");
  const table = await openTable(store, "city", "m", { sample: 200 });
  const files = [
    "tensors.tsv",
    "metadata.tsv",
    "sprite.png",
    "projector_config.json",
    "projector_config.pbtxt",
  ];
  const told = await writeProjector(folder, table, async (locations) =>
    squares(locations.map((location) => location / 330)),
  );
  expect(told).toEqual({ rows: 200, picture: 24, files });
  expect((await readdir(folder)).sort()).toEqual([...files].sort());
  const picture = join(home, "sprite.png");
  const seen = await python("projector.py", folder, picture);
  const name = "city by m, © OpenStreetMap contributors, ODbL 1.0, openstreetmap.org/copyright";
  expect(seen).toMatchObject({ name, sprite: { singleImageDim: [24, 24] } });
  const vectors = await vectorsOf("city");
  const rows = Array.from({ length: 200 }, (_, i) => 330 * i);
  expect(Float32Array.from((seen.tensor as number[][]).flat())).toEqual(
    Float32Array.from(rows.flatMap((row) => [...vectors.subarray(row * SIZE, (row + 1) * SIZE)])),
  );
  const lines = (seen.metadata as string).trimEnd().split("\n");
  const { lon, lat } = await (await openDataset(store, "city")).locations(0, ROWS);
  expect(lines).toEqual([
    "location\tlon\tlat\tkind\tlabel",
    ...rows.map(
      (row) => `${row}\t${lon[row]}\t${lat[row]}\ttransport\t${labelOf(row)?.replaceAll(/\s+/g, " ")}`,
    ),
  ]);
  // 15 × 15 places, by rows from the top left.
  const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([15 * 24, 15 * 24]);
  const colour = (i: number) => {
    const at = ((Math.floor(i / 15) * 24 + 12) * info.width + (i % 15) * 24 + 12) * info.channels;
    return [...data.subarray(at, at + 3)];
  };
  expect(rows.map((_, i) => colour(i))).toEqual(rows.map((_, i) => [i, 255 - i, 77]));
  const config = JSON.parse(await readFile(join(folder, "projector_config.json"), "utf8"));
  expect(config.embeddings).toMatchObject([{ tensorName: name, tensorShape: [200, SIZE] }]);
});

test("a folder for the Projector replaces one of its kind, and nobody else's", async () => {
  const folder = join(home, "again");
  const town = await openTable(store, "town", "m", { sample: 3 });
  await writeProjector(folder, town, squares);
  await writeProjector(folder, await openTable(store, "town", "m", { sample: 2 }), squares);
  expect((await readFile(join(folder, "tensors.tsv"), "utf8")).trimEnd().split("\n")).toHaveLength(2);
  const broken = async (): Promise<Picture[]> => {
    throw new Error("no tile");
  };
  await expect(writeProjector(folder, town, broken)).rejects.toThrow("no tile");
  expect((await readdir(home)).filter((name) => name.startsWith(".again"))).toEqual([]);
  expect((await readFile(join(folder, "tensors.tsv"), "utf8")).trimEnd().split("\n")).toHaveLength(2);
  await rm(join(folder, "projector_config.json"));
  expect((await failure(writeProjector(folder, town, squares))).message).toBe(
    `${folder} is there, and no export of this kind`,
  );
  const many = await openTable(store, "city", "m");
  expect((await failure(writeProjector(join(home, "many"), many, squares))).line).toBe(
    `${ROWS} locations: the Projector is given ${MOST_PROJECTED} at most (mend: --sample ${MOST_PROJECTED})`,
  );
});

test("pgvector: a table with its indexes, whole or not at all, that a second export leaves and a newer one replaces", {
  timeout: 180_000,
}, async () => {
  const { url, close } = await startPglite();
  onTestFinished(close);
  const ask = async (query: string): Promise<unknown[][]> =>
    withDatabase(url, async (client) => (await client.query({ text: query, rowMode: "array" })).rows);
  const table = await openTable(store, "city", "m", { sample: 5000 });
  const first = { table: "public.embeddings_city_m", rows: 5000, kept: false };
  expect(await writeVectorTable(url, table)).toEqual(first);
  expect(await writeVectorTable(url, table)).toEqual({ ...first, kept: true });
  const written = await ask(
    `SELECT location, ST_X(geometry), ST_Y(geometry), ST_SRID(geometry), kind, label, embedding::real[]
     FROM embeddings_city_m ORDER BY location`,
  );
  const blocks = await Array.fromAsync(table.blocks());
  const wanted = blocks.flatMap(({ location, lon, lat, kind, label, vectors }) =>
    Array.from(location, (each, i) => [
      ...[each, lon[i], lat[i], 4326, kind[i], label[i]],
      Array.from(vectors.subarray(i * SIZE, (i + 1) * SIZE)),
    ]),
  );
  expect(written.map((row) => [...row.slice(0, 6), Array.from(row[6] as number[], Math.fround)])).toEqual(
    wanted,
  );
  const indexes = await ask(
    `SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'embeddings_city_m' ORDER BY indexname`,
  );
  expect(indexes).toEqual([
    ["embeddings_city_m_embedding", expect.stringContaining("USING hnsw (embedding vector_l2_ops)")],
    ["embeddings_city_m_geometry", expect.stringContaining("USING gist (geometry)")],
    ["embeddings_city_m_pkey", expect.stringContaining("(location)")],
  ]);
  // Stopped between two blocks, nothing is left of it.
  const stop = new AbortController();
  const all = await openTable(store, "city", "m", { signal: stop.signal, onProgress: () => stop.abort() });
  const stopped = await failure(writeVectorTable(url, all, { signal: stop.signal }));
  expect([stopped.code, stopped.message]).toEqual([
    "interrupted",
    "export of city to embeddings_city_m stopped",
  ]);
  expect(await ask("SELECT count(*)::int FROM embeddings_city_m")).toEqual([[5000]]);
  const fewer = await openTable(store, "city", "m", { sample: 6 });
  expect(await writeVectorTable(url, fewer)).toEqual({ ...first, rows: 6 });
  expect(await ask("SELECT count(*)::int FROM embeddings_city_m")).toEqual([[6]]);
  const named = await writeVectorTable(url, fewer, { name: "maps.user" });
  expect(named.table).toBe("maps.user");
  const refused = async (name: string): Promise<string> =>
    (await failure(writeVectorTable(url, table, { name }))).message;
  expect(await refused("spatial_ref_sys")).toBe(
    "table public.spatial_ref_sys is there, and no export of the farm's",
  );
  const other = await openTable(store, "town", "m");
  expect((await failure(writeVectorTable(url, other, { name: "embeddings_city_m" }))).message).toBe(
    "table public.embeddings_city_m is there, of city by m",
  );
  expect(await refused("farm.vectors")).toBe("table farm.vectors: each import makes that schema anew");
  expect(await refused('x"; drop')).toMatch(/^table x"; drop is no name/);
});

test("pgvector: what the server lacks is told, with what mends it", async () => {
  const table = await openTable(store, "town", "m");
  const bare = await ensureDatabase(inject("databaseUrl"), "exports_bare");
  expect(await failure(writeVectorTable(bare, table))).toMatchObject({
    ...{ code: "postgis-missing", mend: "CREATE EXTENSION postgis" },
  });
  const { rows } = await withDatabase(bare, async (client) => {
    await client.query("CREATE EXTENSION postgis");
    return client.query("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'");
  });
  const done = writeVectorTable(bare, table);
  // Where somebody has installed it after all, it is used.
  if (rows.length > 0) expect(await done).toMatchObject({ rows: 40, kept: false });
  else
    expect(await failure(done)).toMatchObject({
      ...{
        code: "pgvector-missing",
        exitCode: 5,
        message: expect.stringMatching(/the server has no pgvector$/),
      },
      mend: expect.stringContaining("postgresql-NN-pgvector"),
    });
});
