import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Dataset, shardCount } from "@loc2vec/core";
import { createEmbedder } from "@loc2vec/encoder";
import { type ObjectStore, openDataset, openStore, readArray, readGroup, shardKey } from "@loc2vec/shards";
import { beforeAll, describe, expect, test } from "vitest";
import { testStores } from "../../../test/support/stores.ts";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { embedDataset, openCheckpoint, openTiles, train } from "../src/index.ts";
import { acquireLease } from "../src/lease.ts";

/** More than two chunks of the result. */
const MANY: Dataset = { ...STRIPES, name: "many", locations: 9000, samples: 1, shardLocations: 500 };
const CHUNK = 4096;

/** Blank but for some pixels that tell the location: quickly made. */
function dots(location: number): Uint8Array {
  const tile = new Uint8Array(3 * 32 * 32);
  for (let i = 0; i < 14; i++) tile[i * 200 + (location % 97)] = (location >> i) & 1 ? 255 : 60;
  return tile;
}

const stores = testStores("embed");

const SETTINGS = {
  ...{ dataset: "stripes", batch: { locations: 6, pairs: 3 }, checkpointEvery: 2 },
  ...{ minDistanceM: 0, holdout: { share: 0 }, network: JSON.parse(NETWORK) },
};

/** The same store; `tiles` are the reads of shard objects since it was asked before: the whole object, or bytes of it. */
function counting(store: ObjectStore) {
  let reads: { whole: boolean; bytes: number }[] = [];
  const count = (key: string, whole: boolean, bytes: Uint8Array | undefined) => {
    if (key.includes("/tiles/c/")) reads.push({ whole, bytes: bytes?.length ?? 0 });
    return bytes;
  };
  const counted: ObjectStore = {
    url: store.url,
    get: async (key) => count(key, true, await store.get(key)),
    getRange: async (key, range) => count(key, false, await store.getRange(key, range)),
    put: (...given) => store.put(...given),
    head: (key) => store.head(key),
    list: (prefix) => store.list(prefix),
    remove: (key) => store.remove(key),
  };
  const tiles = (): typeof reads => {
    const before = reads;
    reads = [];
    return before;
  };
  return { counted, tiles };
}

describe.each(["a folder", "S3"])("in %s", (kind) => {
  const store =
    kind === "S3"
      ? () => openStore("s3://embed/store", { endpoint: stores.endpoint })
      : () => openStore(pathToFileURL(join(stores.folder, "store")).href);
  beforeAll(async () => {
    await writeStripes(store());
    await writeStripes(store(), MANY, { draw: dots });
    await train({ store: store(), model: "m", steps: 4, ...SETTINGS });
  });
  const vectorsOf = async (prefix: string) =>
    (await readArray(store(), `${prefix}/embedding`, "float32"))?.data as Float32Array;

  test("of each shard the index and the anchors are read, and no other tile; the vectors are theirs", async () => {
    const { counted, tiles } = counting(store());
    const { prefix } = await embedDataset({ store: counted, dataset: "stripes", model: "m" });
    const reads = tiles();
    const shards = shardCount(STRIPES);
    expect(reads.some(({ whole }) => whole)).toBe(false);
    expect(reads).toHaveLength(shards + STRIPES.locations);
    const index = 16 * STRIPES.shardLocations * STRIPES.samples + 4;
    expect(reads.filter(({ bytes }) => bytes === index)).toHaveLength(shards);
    const stored = await Promise.all(
      Array.from(
        { length: shards },
        async (_, shard) => (await store().head(shardKey("stripes", shard)))?.size ?? 0,
      ),
    );
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    // One of five tiles.
    expect(sum(reads.map(({ bytes }) => bytes)) / sum(stored)).toBeLessThan(0.3);

    const { settings, weights } = await openCheckpoint(store(), "m");
    const embedder = await createEmbedder(settings.architecture, weights);
    const anchors = Array.from({ length: STRIPES.locations }, (_, location) => ({ location, sample: 0 }));
    const whole = await openTiles(await openDataset(store(), "stripes")).read(anchors);
    expect(await vectorsOf(prefix)).toEqual(await embedder.embed(whole));
    await embedder.dispose();
    expect(await readGroup(store(), prefix)).toMatchObject({
      ...{ dataset: "stripes", model: "m", step: 4, attribution: STRIPES.attribution },
      ...{ weights_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
  });

  test("stopped, it goes on where it was; with another checkpoint, or on another data set, anew", {
    timeout: 120_000,
  }, async () => {
    const { counted, tiles } = counting(store());
    const given = { store: counted, dataset: "many", model: "m" };
    const stop = new AbortController();
    const stopped = embedDataset({
      ...given,
      signal: stop.signal,
      progress: (done) => {
        if (done > CHUNK + 500) stop.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({
      kind: "interrupted",
      mend: expect.stringMatching(/is kept/),
    });
    const prefix = "models/m/embeddings/many";
    // What is not all there is no group.
    expect(await readGroup(store(), prefix)).toBeUndefined();
    tiles();
    const seen: number[] = [];
    const rest = await embedDataset({ ...given, progress: (done) => void seen.push(done) });
    expect(rest).toMatchObject({ locations: 9000, kept: CHUNK, step: 4, prefix });
    expect([seen[0], seen.at(-1)]).toEqual([CHUNK, 9000]);
    // Shards of anchors alone are read whole: those that chunks to come lie in.
    const reads = tiles();
    expect(reads.every(({ whole }) => whole)).toBe(true);
    expect(reads).toHaveLength(shardCount(MANY) - Math.floor(CHUNK / MANY.shardLocations));
    const vectors = await vectorsOf(prefix);

    expect(await embedDataset(given)).toMatchObject({ kept: 9000 });
    expect(tiles()).toEqual([]);
    // A damaged chunk, and one that is gone, are made again.
    const chunk = (await store().get(`${prefix}/embedding/c/0/0`)) as Uint8Array;
    await store().put(`${prefix}/embedding/c/0/0`, chunk.with(40, (chunk[40] as number) ^ 1));
    await store().remove(`${prefix}/embedding/c/2/0`);
    expect(await embedDataset(given)).toMatchObject({ kept: CHUNK });
    expect(await vectorsOf(prefix)).toEqual(vectors);

    await train({ store: store(), model: "m", steps: 6, ...SETTINGS });
    expect(await embedDataset({ ...given, checkpoint: "last" })).toMatchObject({ kept: 0, step: 6 });
    const later = await vectorsOf(prefix);
    expect(later).not.toEqual(vectors);
    expect(await readGroup(store(), prefix)).toMatchObject({ step: 6 });
    // The data set made anew under its name: as many locations, elsewhere.
    for await (const key of store().list("datasets/many/")) await store().remove(key);
    await writeStripes(store(), MANY, { draw: (i) => dots(i + 1), place: (i) => ({ lon: i / 100, lat: 1 }) });
    expect(await embedDataset({ ...given, checkpoint: "last" })).toMatchObject({ kept: 0, step: 6 });
    expect(await vectorsOf(prefix)).not.toEqual(later);
  });

  test("the same is not embedded by two at once", async () => {
    const what = { what: "embeddings", purpose: "embedding" };
    const lease = await acquireLease(store(), "models/m/embeddings-lease/stripes", what);
    const given = { store: store(), dataset: "stripes", model: "m" };
    await expect(embedDataset(given)).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(
        /^embeddings of data set stripes by model m in .*: another embedding holds it since .*: process \d+ on /,
      ),
    });
    await lease.release();
    expect(await embedDataset(given)).toMatchObject({ locations: 24 });
  });
});
