import { join } from "node:path";
import { composeRgb } from "@loc2vec/atlas";
import { distanceM, type FarmError } from "@loc2vec/core";
import { openDataset, readArray } from "@loc2vec/shards";
import { openNeighbours } from "@loc2vec/space";
import { openPretrained, openTiles } from "@loc2vec/trainer";
import sharp from "sharp";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { farm } from "../../cli/test/farm.ts";
import { createMap } from "../../rasterizer/test/helpers.ts";
import type { startServer } from "../src/index.ts";
import { ask, get, LOCATIONS, serve, TOKEN, testWorld } from "./world.ts";

const world = testWorld("server_test");
let vectors: Float32Array;
let size: number;
let places: { lon: Float64Array; lat: Float64Array };
const spot = (row: number) => ({ lon: places.lon[row] as number, lat: places.lat[row] as number });
const vectorOf = (row: number) => vectors.subarray(row * size, (row + 1) * size);

beforeAll(async () => {
  const stored = await readArray(world.store, "models/pretrained/embeddings/city/embedding", "float32");
  vectors = stored?.data as Float32Array;
  size = vectors.length / LOCATIONS;
  places = await (await openDataset(world.store, "city")).locations(0, LOCATIONS);
});

test("a spot's vector is the same bytes that farm embed gives, alone, among many and beside others", async () => {
  const { url } = await serve(world);
  const all = Array.from({ length: LOCATIONS }, (_, row) => spot(row));
  const together = await get(`${url}/v1/embed`, { body: { places: all } });
  expect(together).toMatchObject({ model: "pretrained", step: expect.any(Number) });
  expect(Float32Array.from(together.vectors.flat())).toEqual(vectors);
  const alone = await get(`${url}/v1/embed`, { body: spot(7) });
  expect(Float32Array.from(alone.vectors[0])).toEqual(vectorOf(7));
  const beside = await Promise.all(all.map((place) => get(`${url}/v1/embed`, { body: place })));
  expect(Float32Array.from(beside.flatMap((each) => each.vectors.flat()))).toEqual(vectors);
  // Those shared batches: there are fewer than requests.
  const text = new TextDecoder().decode((await ask(`${url}/metrics`)).bytes);
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  expect(value("loc2vec_serve_batch_tiles_sum")).toBe(2 * LOCATIONS + 1);
  expect(value("loc2vec_serve_batch_tiles_count")).toBeLessThan(LOCATIONS);
  expect(text).toContain(
    `loc2vec_serve_request_seconds_count{route="/v1/embed",method="POST",status="200"} ${LOCATIONS + 2}`,
  );
});

test("the model, and a location with its vector and its tile", async () => {
  const { url } = await serve(world);
  const model = await get(`${url}/v1/model`);
  expect(model).toMatchObject({ model: "pretrained", dataset: "city", n: LOCATIONS, size, turns: 4 });
  expect(model.channels).toEqual(world.profile.channels.map(({ name }) => name));
  expect(model.map.name).toBe("helsinki.osm.pbf");
  const [west, south, east, north] = model.map.box;
  const told = await get(`${url}/v1/locations/3`);
  expect(told).toMatchObject({ location: 3, ...spot(3), kind: expect.stringMatching(/visit|transport/) });
  expect(Float32Array.from(told.vector)).toEqual(vectorOf(3));
  expect(told.lon > west && told.lon < east && told.lat > south && told.lat < north).toBe(true);
  const { status, headers, bytes } = await ask(`${url}/v1/locations/3/tile.png`);
  expect([status, headers.get("content-type")]).toEqual([200, "image/png"]);
  const { data } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const [tile] = await openTiles(await openDataset(world.store, "city")).read([{ location: 3, sample: 0 }]);
  expect(new Uint8Array(data)).toEqual(composeRgb(tile as Uint8Array, world.profile).data);
});

test("neighbours of a location, and of a spot, which may have to lie apart", async () => {
  const { url } = await serve(world);
  const index = await openNeighbours(vectors, size, { places });
  const { neighbours } = await get(`${url}/v1/neighbours?location=5&k=4`);
  expect(
    neighbours.map(({ location, distance }: { location: number; distance: number }) => [location, distance]),
  ).toEqual(index.nearest(5, 4).map(({ row, distance }) => [row, distance]));
  expect(neighbours[0].metres).toBeCloseTo(distanceM(spot(5), spot(neighbours[0].location)), 6);
  const { lon, lat } = spot(5);
  const near = await get(`${url}/v1/neighbours?lon=${lon}&lat=${lat}&k=1`);
  expect(near.neighbours).toMatchObject([{ location: 5, distance: 0, metres: 0 }]);
  const apart = await get(`${url}/v1/neighbours?lon=${lon}&lat=${lat}&k=4&min_distance_m=200`);
  const found = [{ lon, lat }, ...apart.neighbours];
  expect(found).toHaveLength(5);
  for (const [i, a] of found.entries())
    for (const b of found.slice(i + 1)) expect(distanceM(a, b)).toBeGreaterThan(200);
  // As many as there are.
  expect((await get(`${url}/v1/neighbours?location=5&k=1000`)).neighbours).toHaveLength(LOCATIONS - 1);
});

test("venues of a fix by distance alone, and weighed by a prior of this model", async () => {
  const { url } = await serve(world);
  const fix = { lon: 24.9414, lat: 60.1699, accuracy_m: 30, top: 1000 };
  const alone = await get(`${url}/v1/venues`, { body: fix });
  expect(alone.prior).toBeNull();
  expect(alone.venues).toHaveLength(alone.candidates);
  expect(alone.venues.length).toBeGreaterThan(5);
  for (const one of alone.venues) expect(one.probability).toBeCloseTo(one.by_distance, 12);
  const { weightsSha256 } = await openPretrained();
  const flat = Array.from({ length: size + 2 }, () => 0);
  const venuePrior = {
    ...{ kind: "loc2vec venue prior" as const, version: 1 as const, model: "pretrained", visits: 20 },
    ...{ weights_sha256: weightsSha256, hidden: ["amenities_shops"] },
    ...{ mean: flat.slice(2), scale: flat.slice(2), classes: { food: [Math.log(50), ...flat] } },
  };
  const weighed = await get(`${(await serve(world, { venuePrior })).url}/v1/venues`, { body: fix });
  expect(weighed.prior).toEqual({ model: "pretrained", visits: 20 });
  const share = (of: typeof alone, key: string) =>
    of.venues
      .filter((one: { class: string }) => one.class === "food")
      .reduce((sum: number, one: Record<string, number>) => sum + (one[key] as number), 0);
  const before = share(alone, "probability");
  expect(share(weighed, "probability")).toBeCloseTo((50 * before) / (50 * before + 1 - before), 9);
  expect(share(weighed, "by_distance")).toBeCloseTo(before, 9);
  const refused = (body: object) => ask(`${url}/v1/venues`, { body });
  expect((await refused({ ...fix, lon: 2.35 })).json.error.code).toBe("beyond-map");
  expect((await refused({ ...fix, accuracy_m: 0 })).json.error).toMatchObject({
    code: "bad-input",
    field: "accuracy_m",
  });
  expect((await refused({ ...fix, hour: 24 })).json.error).toMatchObject({
    code: "bad-input",
    field: "hour",
  });
  await expect(serve(world, { venuePrior: { ...venuePrior, weights_sha256: "0" } })).rejects.toThrow(
    /prior of venues was learnt .* with other weights/,
  );
});

test("arithmetic of locations is that of their spots; a walk is drawn by its seed", async () => {
  const { url } = await serve(world);
  const index = await openNeighbours(vectors, size, { places });
  const target = vectorOf(1).map(
    (value, k) => value - (vectorOf(2)[k] as number) + (vectorOf(3)[k] as number),
  );
  const expected = index.nearest(target, 3, { exclude: [1, 2, 3] }).map(({ row }) => row);
  const rows = ({ nearest }: { nearest: { location: number }[] }) => nearest.map(({ location }) => location);
  const [a, b, c] = [1, 2, 3].map((location) => ({ location }));
  expect(rows(await get(`${url}/v1/arithmetic`, { body: { a, b, c, k: 3 } }))).toEqual(expected);
  const spots = await get(`${url}/v1/arithmetic`, { body: { a: spot(1), b: spot(2), c, k: 20 } });
  // What is no row is not left out.
  expect(
    rows(spots)
      .filter((row) => row !== 1 && row !== 2)
      .slice(0, 3),
  ).toEqual(expected);

  const walked = await get(`${url}/v1/walk?location=9&jumps=12&among=5&seed=1`);
  const steps = walked.walk.map(({ location }: { location: number }) => location);
  expect(steps).toHaveLength(13);
  expect([steps[0], new Set(steps).size]).toEqual([9, 13]);
  expect(await get(`${url}/v1/walk?location=9&jumps=12&among=5&seed=1`)).toEqual(walked);
  expect(await get(`${url}/v1/walk?location=9&jumps=12&among=5&seed=2`)).not.toEqual(walked);
});

test("some locations as a file", async () => {
  const { url } = await serve(world);
  const { headers, bytes, status } = await ask(`${url}/v1/export?locations=9,3,9`);
  expect([status, headers.get("content-type")]).toEqual([200, "text/csv"]);
  expect(headers.get("content-disposition")).toBe('attachment; filename="pretrained-city.csv"');
  const [head, ...rows] = new TextDecoder().decode(bytes).trimEnd().split("\r\n");
  const columns = head?.split(",") ?? [];
  const cell = (row: string, name: string): string => row.split(",")[columns.indexOf(name)] as string;
  expect(rows.map((row) => ["location", "lon", "lat"].map((name) => Number(cell(row, name))))).toEqual(
    [3, 9].map((row) => [row, places.lon[row], places.lat[row]]),
  );
  const numbers = rows.map((row) => row.split(",").slice(columns.indexOf("embedding_0")).map(Number));
  expect(Float32Array.from(numbers[0] ?? [])).toEqual(vectorOf(3));
  for (const [format, magic] of [
    ["geoparquet", "PAR1"],
    ["arrow", "ARROW1"],
  ]) {
    const file = await ask(`${url}/v1/export?locations=5&format=${format}`);
    expect([file.status, new TextDecoder().decode(file.bytes.subarray(0, magic?.length))]).toEqual([
      200,
      magic,
    ]);
  }
  const refused = async (query: string): Promise<unknown[]> => {
    const { status, json } = await ask(`${url}/v1/export?${query}`);
    return [status, json.error.field];
  };
  expect(await refused(`locations=1,${LOCATIONS}`)).toEqual([404, "locations"]);
  expect(await refused(`locations=${Array(1001).fill(1).join()}`)).toEqual([400, "locations"]);
  for (const locations of ["", "1,", "-1", "1.5", "a"])
    expect(await refused(`locations=${locations}`)).toEqual([400, "locations"]);
  expect(await refused("locations=1&format=pgvector")).toEqual([400, "format"]);
});

test("a server answers while the index is built, and the next one has it at once", async () => {
  const indexFolder = join(world.home, "neighbours");
  const asked = async (url: string) =>
    (await get(`${url}/v1/neighbours?location=5&k=4`)).neighbours.map(
      ({ location, distance }: { location: number; distance: number }) => [location, distance],
    );
  const begun = await serve(world, { indexFolder, indexedFrom: LOCATIONS });
  const near = await asked(begun.url);
  const index = await openNeighbours(vectors, size, { method: "exact" });
  expect(near).toEqual(index.nearest(5, 4).map(({ row, distance }) => [row, distance]));
  await expect.poll(() => begun.lines.at(-1), { timeout: 30_000 }).toContain(`kept in ${indexFolder}`);
  expect(await asked(begun.url)).toEqual(near);
  await begun.close();
  const next = await serve(world, { indexFolder, indexedFrom: LOCATIONS });
  expect(next.lines).toContain(
    `serve: neighbours: the index of ${LOCATIONS} vectors is that in ${indexFolder}`,
  );
  expect(await asked(next.url)).toEqual(near);
});

test("what cannot be answered is told with its field and what mends it, and never with a stack", async () => {
  const { url, lines } = await serve(world);
  const inside = spot(0);
  const refused = async (path: string, init: Parameters<typeof ask>[1], status: number, error: object) => {
    const answer = await ask(url + path, init);
    expect([path, answer.status]).toEqual([path, status]);
    expect(answer.json.error).toMatchObject(error);
    expect(answer.json.error.message).not.toMatch(/\bat .*:\d+|node_modules|dist\//);
    return answer;
  };
  const beyond = await refused("/v1/embed", { body: { places: [inside, { lon: 2.35, lat: 48.85 }] } }, 422, {
    ...{ code: "beyond-map", field: "places[1]", mend: expect.stringContaining("larger map") },
  });
  const { map } = await get(`${url}/v1/model`);
  expect(beyond.json.error.box).toEqual(map.box);
  await refused("/v1/neighbours?lon=2.35&lat=48.85", {}, 422, { code: "beyond-map", box: map.box });
  const bad = { code: "bad-input" };
  const embed = (body: unknown, field: string) => refused("/v1/embed", { body }, 400, { ...bad, field });
  await embed({ places: [inside, { lon: 200, lat: 60 }] }, "places[1].lon");
  await embed({ places: [] }, "places");
  await embed({ lon: 24.9, lat: "60" }, "lat");
  await embed({ places: Array(513).fill({ lon: 1, lat: 1 }) }, "places");
  await refused("/v1/arithmetic", { body: { a: { location: 1 }, b: { location: 2 } } }, 400, {
    ...bad,
    field: "c",
  });
  await refused("/v1/arithmetic", { body: { a: { location: 1 }, b: inside, c: { location: 1e6 } } }, 404, {
    ...{ code: "location-missing", field: "c.location", mend: `name one of 0 to ${LOCATIONS - 1}` },
  });
  for (const [query, field] of [
    ["", "lon"],
    ["?lon=24.9", "lat"],
    ["?lon=&lat=60", "lon"],
    ["?lon=0x10&lat=60", "lon"],
    ["?lon=24&lon=25&lat=60", "lon"],
    ["?location=1&lat=60", "location"],
    ["?location=1.5", "location"],
    ["?location=1&k=0", "k"],
    ["?location=1&min_distance_m=-1", "min_distance_m"],
  ] as const)
    await refused(`/v1/neighbours${query}`, {}, 400, { ...bad, field });
  await refused("/v1/locations/70", {}, 404, { code: "location-missing" });
  await refused("/v1/locations/x", {}, 400, { ...bad, field: "location" });
  await refused("/v1/nowhere", {}, 404, { code: "not-found" });
  const wrong = await refused("/v1/embed", {}, 405, { code: "method-not-allowed", mend: "use POST" });
  expect(wrong.headers.get("allow")).toBe("POST");
  await refused("/v1/%zz", {}, 400, { code: "bad-request" });
  const json = { "content-type": "application/json" };
  const post = (body: string, headers = json) => ({
    method: "POST",
    ...{ body: undefined },
    headers,
    raw: body,
  });
  for (const [{ raw, ...init }, status, code] of [
    [post("{"), 400, "bad-request"],
    [post("lon=1", { "content-type": "text/plain" }), 415, "not-json"],
    [post(`"${"x".repeat(70_000)}"`), 413, "too-large"],
  ] as const) {
    const response = await fetch(`${url}/v1/embed`, {
      ...init,
      body: raw,
      headers: { ...init.headers, authorization: `Bearer ${TOKEN}` },
    });
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([
      status,
      code,
    ]);
  }
  expect(lines.filter((line) => line.includes("failed"))).toEqual([]);
});

test("a token lets in, any of several; without one only health is told", async () => {
  const { url } = await serve(world, { tokens: `${TOKEN},another-token-there` });
  for (const path of ["/v1/model", "/metrics", "/docs", "/openapi.json", "/v1/nowhere"]) {
    const { status, headers } = await ask(url + path, { token: "" });
    expect([path, status]).toEqual([path, 401]);
    expect(headers.get("www-authenticate")).toMatch(/^Basic/);
  }
  for (const token of [TOKEN, "another-token-there"])
    expect((await ask(`${url}/v1/model`, { token })).status).toBe(200);
  expect((await ask(`${url}/v1/model`, { token: `${TOKEN},another-token-there` })).status).toBe(401);
  expect(await get(`${url}/healthz`, { token: "" })).toEqual({ ok: true });
  const foreign = { headers: { "sec-fetch-site": "cross-site" } };
  expect((await ask(`${url}/v1/embed`, { body: spot(0), ...foreign })).status).toBe(403);
  await expect(serve(world, { host: "0.0.0.0", tokens: "short" })).rejects.toMatchObject({
    kind: "usage",
    mend: expect.stringContaining("FARM_SERVE_TOKENS"),
  });
});

test("what takes too long is given up, and the server goes on", async () => {
  const { url } = await serve(world, { requestMs: 100 });
  const many = Array.from({ length: 500 }, (_, i) => spot(i % LOCATIONS));
  const { status, headers, json } = await ask(`${url}/v1/embed`, { body: { places: many } });
  expect([status, headers.get("retry-after"), json.error.code]).toEqual([503, "5", "timeout"]);
  expect((await ask(`${url}/v1/model`)).status).toBe(200);
});

test("requests of one address are limited", async () => {
  const { url } = await serve(world, { requestsPerMinute: 3 });
  const all = await Promise.all(Array.from({ length: 5 }, () => ask(`${url}/v1/model`)));
  expect(all.map(({ status }) => status).sort()).toEqual([200, 200, 200, 429, 429]);
  const late = all.find(({ status }) => status === 429);
  expect(late?.json.error.code).toBe("too-many");
  expect(Number(late?.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("the OpenAPI text names every route, and its page asks nobody else", async () => {
  const { url } = await serve(world);
  const text = await get(`${url}/openapi.json`);
  expect(text.openapi).toBe("3.1.0");
  expect(Object.keys(text.paths)).toEqual(
    expect.arrayContaining(["/healthz", "/v1/embed", "/v1/neighbours", "/v1/locations/{location}/tile.png"]),
  );
  const bounds = text.paths["/v1/neighbours"].get.parameters.find(
    ({ name }: { name: string }) => name === "lat",
  );
  expect(bounds.schema).toMatchObject({ minimum: -85, maximum: 85 });
  const page = await ask(`${url}/docs/`);
  expect(page.status).toBe(200);
  const html = new TextDecoder().decode(page.bytes);
  const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source = ""]) => source);
  expect(sources.length).toBeGreaterThan(3);
  for (const source of sources) {
    const target = new URL(source, `${url}/docs/`);
    expect(target.origin).toBe(url);
    expect((await ask(target.href)).status, source).toBe(200);
  }
  expect(page.headers.get("content-security-policy")).toMatch(/default-src 'self'|default-src 'none'/);
});

test("what does not fit together is refused at the start: map, renderer, data set, model, embeddings", async () => {
  const map = await createMap("server_other");
  onTestFinished(() => map.drop());
  const start = (changes: Partial<Parameters<typeof startServer>[0]>) =>
    serve(world, changes).then(
      () => undefined,
      (error: FarmError) => error,
    );
  expect(await start({ databaseUrl: map.databaseUrl })).toMatchObject({ code: "map-missing" });
  await map.load(
    [{ at: { lon: 24.94, lat: 60.17 }, tags: { amenity: "cafe" }, points: [[0, 0]] }],
    world.profile,
  );
  const other = await start({ databaseUrl: map.databaseUrl });
  expect(other).toMatchObject({ code: "map-mismatch", mend: expect.stringContaining("import that map") });
  expect(await start({ renderer: "exact" })).toMatchObject({ code: "cartography-mismatch" });
  expect(await start({ dataset: "none" })).toMatchObject({ code: "dataset-missing" });
  expect(await start({ model: "none" })).toMatchObject({ code: "model-missing" });
  const bare = ["--sample", "3", "--positives", "0"];
  expect((await farm(["enqueue", "--dataset", "bare", ...bare], world.settings)).code).toBe(0);
  expect(await start({ dataset: "bare" })).toMatchObject({
    code: "embeddings-missing",
    mend: "pnpm farm:embed --model pretrained --dataset bare",
  });
});
