import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureDatabase } from "@loc2vec/gis";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { farm } from "./farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
  }
}

let home: string;
let settings: Record<string, string>;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "provenance-"));
  await chmod(home, 0o755);
  settings = {
    FARM_HOME: home,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: await ensureDatabase(inject("databaseUrl"), `provenance_${process.pid}`),
    FARM_STORE: pathToFileURL(join(home, "store")).href,
    FARM_QUEUE_PREFIX: `provenance-${process.pid}`,
  };
});
afterAll(() => rm(home, { recursive: true, force: true }));

const run = (...args: string[]) => farm([...args, "--json"], settings);

/** A map of one street and a row of square houses, so many metres wide. */
async function writeMap(name: string, metres: number): Promise<string> {
  const side = metres / 111_195;
  const corners = Array.from({ length: 6 }, (_, i) => 47 + i / 2000).flatMap((lat) =>
    [0, 1, 2, 3].map((corner) => [9.5 + (corner % 3 === 0 ? 0 : side), lat + (corner < 2 ? 0 : side)]),
  );
  const ends = [
    [9.4999, 46.9995],
    [9.4999, 47.003],
  ];
  const nodes = [...corners, ...ends].map(
    ([lon, lat], i) => `<node id="${i + 1}" version="1" lon="${lon?.toFixed(7)}" lat="${lat?.toFixed(7)}"/>`,
  );
  const way = (id: number, refs: number[], key: string, value: string): string =>
    `<way id="${id}" version="1">${refs.map((ref) => `<nd ref="${ref}"/>`).join("")}<tag k="${key}" v="${value}"/></way>`;
  const ways = Array.from({ length: 6 }, (_, i) => {
    const [a, b, c, d] = [1, 2, 3, 4].map((corner) => 4 * i + corner) as [number, number, number, number];
    return way(i + 1, [a, b, c, d, a], "building", "yes");
  });
  ways.push(way(7, [corners.length + 1, corners.length + 2], "highway", "residential"));
  const file = join(home, name);
  await writeFile(file, `<osm version="0.6">${[...nodes, ...ways].join("\n")}</osm>\n`);
  return file;
}

test("one data set, two imports: tiles of the second never get into it", { timeout: 200_000 }, async () => {
  const [first, second] = [await writeMap("first.osm", 20), await writeMap("second.osm", 30)];
  const places = join(home, "places.csv");
  await writeFile(
    places,
    `lon,lat\n${Array.from({ length: 4 }, (_, i) => `9.5001,${47 + i / 1900}`).join("\n")}\n`,
  );
  const enqueue = ["enqueue", "--dataset", "town", "--locations", places, "--positives", "1"];
  const one = [...enqueue, "--shard-locations", "2"];
  expect((await run("import", first)).code).toBe(0);
  expect((await run(...one)).json).toMatchObject({ shards: 2, added: 2 });

  expect((await run("import", second)).code).toBe(0);
  const both = /town is drawn from the map first\.osm \(sha256 .*has second\.osm \(sha256/;
  // Enqueued again, it would be another data set.
  expect(await run(...one)).toMatchObject({ code: 6, stderr: expect.stringMatching(both) });
  // Repaired, its shards would show two maps; nothing is read before that is said.
  const repair = await run("verify", "--dataset", "town", "--repair");
  expect(repair).toMatchObject({ code: 6, stderr: expect.stringMatching(both) });
  // A worker leaves its shards to one that has the map, and says so once.
  const worked = await run("work", "--until", "empty");
  expect(worked.code).toBe(6);
  expect(worked.stderr.split("\n").filter((line) => both.test(line))).toHaveLength(1);
  expect((await run("status", "--dataset", "town")).json).toMatchObject({ done: 0, failed: 0, lost: 0 });

  expect((await run("import", first)).code).toBe(0);
  expect(await run("work", "--until", "empty")).toMatchObject({ code: 0, json: { shards: 2, failures: 0 } });
  expect((await run("verify", "--dataset", "town")).json).toMatchObject({ whole: 2 });
  expect((await run("verify", "--dataset", "town", "--repair")).code).toBe(0);
});
