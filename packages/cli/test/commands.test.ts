// A minute and more: some eighty processes of the command line, one after the other, on real servers.

import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compactNetwork, NETWORKS } from "@loc2vec/encoder";
import { ensureDatabase, fetchDemoMap } from "@loc2vec/gis";
import { openQueues } from "@loc2vec/queue";
import { openStore, storeIdentity } from "@loc2vec/shards";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { CREDENTIALS, startMoto } from "../../../test/support/moto.ts";
import { freePort } from "../../../test/support/ports.ts";
import { farm } from "./farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
    python: string;
  }
}

let home: string;
let pbf: string;
let moto: Awaited<ReturnType<typeof startMoto>>;
/** The user's own Redis, PostGIS and S3, by URL. */
let settings: Record<string, string>;

beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  home = await mkdtemp(join(tmpdir(), "commands-"));
  await chmod(home, 0o755);
  pbf = (await fetchDemoMap({ home: resolve(import.meta.dirname, "../../../.farm") })).path;
  moto = await startMoto(inject("python"), "farm");
  settings = {
    FARM_HOME: home,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: await ensureDatabase(inject("databaseUrl"), `commands_${process.pid}`),
    FARM_STORE: "s3://farm/deep/down",
    FARM_S3_ENDPOINT: moto.endpoint,
    FARM_QUEUE_PREFIX: `commands-${process.pid}`,
    ...CREDENTIALS,
  };
});
afterAll(async () => {
  moto.stop();
  await rm(home, { recursive: true, force: true });
});

const run = (...args: string[]) => farm(args, settings);

describe("one command after the other, with the user's own Redis, PostGIS and S3", () => {
  test("import, twice", async () => {
    const { code, json } = await run("import", pbf, "--json");
    expect(code).toBe(0);
    expect(json.channels.buildings).toBeGreaterThan(100);
    expect((await run("import", pbf, "--json")).json).toEqual(json);
  });

  test("locations are sampled as CSV, and enqueued from it; a second time nothing is added", async () => {
    const csv = join(home, "places.csv");
    expect((await run("locations", "--count", "30", "--seed", "3", "--out", csv, "--json")).json).toEqual({
      locations: 30,
      file: csv,
    });
    expect((await readFile(csv, "utf8")).split("\n")).toHaveLength(32);
    const enqueue = [
      "enqueue",
      "--dataset",
      "town",
      "--locations",
      csv,
      "--positives",
      "5",
      "--shard-locations",
      "8",
      "--json",
    ];
    expect((await run(...enqueue)).json).toEqual({
      dataset: "town",
      locations: 30,
      skipped: 0,
      outside: 0,
      shards: 4,
      added: 4,
      retried: 0,
      queued: 0,
      present: 0,
    });
    expect((await run(...enqueue)).json).toMatchObject({ added: 0, queued: 4 });
    const other = await run(...enqueue.slice(0, -1), "--seed", "9", "--json");
    expect(other).toMatchObject({
      code: 6,
      json: { error: { kind: "data", message: expect.stringMatching(/seed/) } },
    });
  });

  test("two workers render, status tells", async () => {
    const before = await run("status", "--dataset", "town", "--json");
    expect(before.json).toMatchObject({ shards: 4, done: 0, waiting: 4 });
    const workers = await Promise.all([0, 1].map(() => run("work", "--until", "empty", "--json")));
    expect(workers.map(({ code }) => code)).toEqual([0, 0]);
    expect(workers.reduce((sum, { json }) => sum + json.shards, 0)).toBe(4);
    expect(workers.reduce((sum, { json }) => sum + json.tiles, 0)).toBe(180);
    expect((await run("status", "--dataset", "town", "--json")).json).toMatchObject({
      done: 4,
      waiting: 0,
      failed: 0,
      lost: 0,
      complete: { shards: 4, tiles: 180, quarantined: 0 },
      stages: [{ queue: "finalize", state: "completed" }],
    });
  });

  test("verify finds a shard that went missing; repaired, it is rendered again", async () => {
    const verify = (...args: string[]) => run("verify", "--dataset", "town", "--json", ...args);
    expect(await verify()).toMatchObject({
      code: 0,
      json: { whole: 4, missing: [], damaged: [], arrays: [] },
    });
    const store = openStore(settings.FARM_STORE as string, { endpoint: moto.endpoint });
    await store.remove("datasets/town/tiles/c/2/0/0/0/0");
    expect(await verify()).toMatchObject({ code: 6, json: { whole: 3, missing: [2] } });
    expect(await verify("--repair")).toMatchObject({ code: 0, json: { missing: [2], repair: { added: 1 } } });
    expect((await run("work", "--until", "empty", "--json")).json).toMatchObject({ shards: 1 });
    expect((await verify()).code).toBe(0);
  });

  test("jobs that failed are put back by retry", async () => {
    expect((await run("enqueue", "--dataset", "far", "--sample", "4", "--positives", "1")).code).toBe(0);
    const store = openStore(settings.FARM_STORE as string, { endpoint: moto.endpoint });
    const lon = "datasets/far/lon/c/0";
    const bytes = (await store.get(lon)) as Uint8Array;
    await store.remove(lon);
    expect(await run("work", "--until", "empty", "--json")).toMatchObject({
      code: 6,
      json: { shards: 0, failures: 1, failed: 1 },
    });
    await store.put(lon, bytes);
    const { json } = await run("status", "--dataset", "far", "--json");
    expect(json).toMatchObject({
      failed: 1,
      failures: [{ shard: 0, reason: expect.stringMatching(/lon\/c\/0 .*: the chunk is missing/) }],
    });
    expect((await run("retry", "--dataset", "far", "--json")).json.retried).toMatchObject({ raster: 1 });
    expect((await run("work", "--until", "empty", "--json")).json).toMatchObject({ shards: 1, failures: 0 });
  });

  test("locations of a table, training and embedding: one enqueue, then workers of each kind", {
    timeout: 200_000,
  }, async () => {
    const client = new pg.Client({ connectionString: settings.FARM_DATABASE_URL });
    await client.connect();
    await client.query("CREATE TABLE places (id int PRIMARY KEY, geom geometry(Point, 3857), label text)");
    await client.query(
      `INSERT INTO places SELECT row_number() OVER (), ST_PointOnSurface(geom), 'place ' || osm_id FROM (
         SELECT geom, osm_id FROM farm.feature ORDER BY md5(osm_id::text || rule) LIMIT 40) AS drawn`,
    );
    await client.end();
    const enqueue = [
      "enqueue",
      "--dataset",
      "table",
      "--table",
      "places",
      "--positives",
      "8",
      "--shard-locations",
      "20",
    ];
    expect(
      (
        await run(
          ...enqueue,
          "--train",
          "flow",
          "--steps",
          "2",
          "--min-distance",
          "0",
          "--holdout",
          "0",
          "--embed",
          ...[
            "--network",
            "small",
            "--warmup",
            "2",
            "--halve-every",
            "50",
            "--cell",
            "500",
            "--border",
            "300",
          ],
          ...["--patience", "900", "--max-seconds", "300", "--checkpoint-every", "1", "--pairs", "4"],
          ...[
            "--negatives",
            "2",
            "--precision",
            "float32",
            "--dropout",
            "0.1,0.05,0.2",
            "--recipe",
            "best",
            "--loss",
            "softpn",
            "--temperature",
            "0.5",
            "--decorrelate",
            "0.1",
          ],
          "--json",
        )
      ).json,
    ).toMatchObject({ shards: 2, added: 2 });
    const id = await storeIdentity(openStore(settings.FARM_STORE as string, { endpoint: moto.endpoint }));
    const queues = await openQueues({
      redisUrl: settings.FARM_REDIS_URL as string,
      prefix: settings.FARM_QUEUE_PREFIX as string,
    });
    const queued = (await queues.train.getJob(`flow@table@${id}`))?.data;
    await queues.close();
    expect(queued).toEqual({
      ...{
        store: id,
        dataset: "table",
        model: "flow",
        steps: 2,
        seed: 0,
        loss: "softpn",
        learningRate: 0.003,
      },
      ...{
        batch: { locations: 20, pairs: 4, negatives: 2, neighbours: 0 },
        mix: "batch",
        from: "none",
        checkpointEvery: 1,
        average: 0,
        empty: "skip",
        minDistanceM: 0,
      },
      ...{ holdout: { share: 0, cellM: 500, borderM: 300 }, network: compactNetwork(NETWORKS.small) },
      ...{
        temperature: 0.5,
        decorrelate: 0.1,
        precision: "float32",
        dropout: { input: 0.1, conv: 0.05, dense: 0.2 },
      },
      ...{ warmup: 2, halveEvery: 50, anneal: "steps", patience: 900, maxSeconds: 300 },
      ...{ halvings: 1, halfSizeSteps: 0, turns: 4 },
    });
    expect((await run("work", "--until", "empty", "--json")).json).toMatchObject({ shards: 2, failures: 0 });
    expect((await run("work", "--queues", "train,embed", "--until", "empty", "--json")).json).toMatchObject({
      failures: 0,
    });
    const { json } = await run("status", "--dataset", "table", "--json");
    expect(
      json.stages.map(({ queue, state }: { queue: string; state: string }) => `${queue} ${state}`),
    ).toEqual(["finalize completed", "train completed", "embed completed"]);
  });

  test("train, embed, atlas", { timeout: 200_000 }, async () => {
    const train = [
      "train",
      "--dataset",
      "town",
      "--model",
      "m",
      "--batch-locations",
      "6",
      "--pairs",
      "2",
      "--holdout",
      "0",
      "--min-distance",
      "0",
      "--json",
    ];
    const trained = await run(...train, "--steps", "4");
    expect(trained.json).toMatchObject({ parameters: 305_040, step: 4, resumedFrom: 0 });
    const { json: rest } = await run(...train, "--steps", "6");
    expect(rest).toMatchObject({ step: 6, resumedFrom: 4 });
    const { step } = rest.best;
    expect((await run("embed", "--dataset", "town", "--model", "m", "--json")).json).toMatchObject({
      locations: 30,
      size: 16,
      step,
    });
    const exported = await run("export", "--model", "m", "--out", join(home, "exported"), "--json");
    expect(exported.json).toMatchObject({
      step,
      files: ["encoder.onnx", "weights.safetensors", "loc2vec_keras.py"],
    });
    expect((await readFile(join(home, "exported/encoder.onnx"))).length).toBeGreaterThan(4 * 305_040);
    const table = join(home, "town.csv");
    const csv = ["export", "--model", "m", "--dataset", "town", "--format", "csv", "--out", table, "--json"];
    expect((await run(...csv)).json).toMatchObject({ rows: 30, locations: 30, step, place: table });
    expect((await readFile(table, "utf8")).split("\r\n")).toHaveLength(32);
    const projector = [
      "export",
      "--model",
      "m",
      "--dataset",
      "town",
      "--format",
      "projector",
      "--sample",
      "9",
    ];
    expect((await run(...projector, "--json")).json).toMatchObject({
      ...{ rows: 9, locations: 30, attribution: expect.stringContaining("©") },
      place: join(home, "exports/m-town-projector"),
    });
    const out = join(home, "atlas");
    const atlas = ["atlas", "--dataset", "town", "--model", "m", "--quick", "--out", out];
    const { json } = await run(...atlas, "--json");
    expect(json).toMatchObject({
      index: join(out, "index.html"),
      figures: expect.arrayContaining(["locations", "training", "city"]),
      leftOut: [
        { title: "Ways of travelling", number: "17", why: expect.stringContaining("0 modes") },
        { title: "Other cities in the same colours", number: "19", why: expect.stringContaining("--cities") },
      ],
    });
    for (const path of [json.index, ...json.pictures]) expect(existsSync(path), path).toBe(true);
    expect(await run(...atlas, "--cities", "nowhere", "--json")).toMatchObject({
      code: 3,
      json: { error: { code: "dataset-missing" } },
    });
    expect(await run(...atlas, "--cities", "town")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--cities names data set town, which is that of --dataset"),
    });
  });

  test("evaluate: models on what they never saw, with figures; nothing held out is an error", {
    timeout: 300_000,
  }, async () => {
    const enqueue = ["enqueue", "--dataset", "wide", "--sample", "160", "--positives", "3", "--json"];
    expect((await run(...enqueue)).json).toMatchObject({ added: 3 });
    expect((await run("work", "--until", "empty", "--json")).json).toMatchObject({ failures: 0 });
    for (const loss of ["softpn", "ratio"]) {
      const train = ["train", "--dataset", "wide", "--model", loss, "--loss", loss, "--network", "small"];
      // A town has no room for a border of two footprints: that is told, with what it leaves.
      const split = ["--holdout", "0.3", "--cell", "400", "--border", "100", "--batch-locations", "6"];
      expect(
        await run(...train, ...split, "--pairs", "2", "--min-distance", "0", "--steps", "2"),
      ).toMatchObject({
        code: 0,
        stderr: expect.stringMatching(
          /a border of 100 m is narrower than two footprints \(510 m\): \d+\.\d % of the held-out locations/,
        ),
      });
    }
    const out = join(home, "evaluated");
    const evaluate = ["evaluate", "--dataset", "wide", "--positives", "2", "--out", out, "--json", "--model"];
    const { json, stderr } = await run(...evaluate, "softpn", "ratio");
    expect(json, stderr).toMatchObject({
      dataset: "wide",
      positives: 2,
      labels: [{ name: "map", masked: ["amenities_shops"] }],
      files: ["evaluation.json", "figure7.png", "figure11.svg"].map((name) => join(out, name)),
    });
    expect(json.results.map(({ kind, loss }: { kind: string; loss?: string }) => loss ?? kind)).toEqual([
      ...["softpn", "ratio", "untrained"],
      ...Array(5).fill("baseline"),
    ]);
    for (const each of json.results) expect(each.recall_at_10).toBeGreaterThan(0);
    // Both were judged by held-out triplets while they were trained, and figure 11 shows it.
    const judged = json.curves.map(({ heldout }: { heldout: { step: number }[] }) => heldout);
    expect(judged).toEqual(Array(2).fill([{ step: 2, accuracy: expect.any(Number) }]));
    expect(await readFile(json.files[2], "utf8")).toContain("triplets right at held-out locations");
    for (const file of json.files) expect(existsSync(file)).toBe(true);
    expect(await run(...evaluate, "m")).toMatchObject({
      code: 3,
      json: {
        error: {
          message: expect.stringMatching(
            /wide overlaps data set town, trained on: tiles of 160 of its locations/,
          ),
        },
      },
    });
  });

  test("the board serves the farm's Redis until it is stopped, and is not open to others", async () => {
    const refused = await run("board", "--host", "0.0.0.0", "--port", "0");
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/FARM_BOARD_PASSWORD/) });
    const port = await freePort();
    let stop: (signal: NodeJS.Signals) => void = () => {};
    const ended = farm(
      ["board", "--port", String(port)],
      { ...settings, FARM_BOARD_PASSWORD: "open sesame, please" },
      (kill) => {
        stop = kill;
      },
    );
    const url = `http://127.0.0.1:${port}`;
    while (!(await fetch(`${url}/healthz`).catch(() => undefined))?.ok) await sleep(100);
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
    const metrics = await fetch(`${url}/metrics`, {
      headers: { authorization: "Bearer open sesame, please" },
    });
    expect(metrics.status).toBe(401); // a token holds no blanks; Basic takes any password
    const basic = Buffer.from("anybody:open sesame, please").toString("base64");
    const shown = await fetch(`${url}/metrics`, { headers: { authorization: `Basic ${basic}` } });
    expect(await shown.text()).toMatch(/loc2vec_jobs\{queue="raster",state="completed"\} [1-9]/);
    stop("SIGTERM");
    expect(await ended).toMatchObject({ code: 0 });
  });

  test("config hides secrets; doctor finds all", async () => {
    const config = await farm(["config"], {
      ...settings,
      FARM_REDIS_URL: "redis://user:hunter2@host:1",
      FARM_DATABASE_URL: "postgres://host/x?password=hunter2&sslmode=require",
      FARM_BOARD_PASSWORD: "hunter2hunter2",
    });
    expect(config.stdout).toContain("redis://user:***@host:1");
    expect(config.stdout).not.toContain("hunter2");
    const doctor = await run("doctor", "--json");
    expect(doctor.json).toMatchObject({ ok: true });
    expect(doctor.code).toBe(0);
  });
});

describe("bad input: one line, a mend, an exit code", () => {
  const lines = (stderr: string): string[] => stderr.split("\n").filter((line) => line.startsWith("error: "));

  async function csv(...rows: string[]): Promise<string> {
    const path = join(home, "bad.csv");
    await writeFile(path, `lon,lat\n${rows.join("\n")}\n`);
    return path;
  }

  test.each<[string, string[], number, RegExp]>([
    ["no command", [], 2, /no command is given/],
    ["an unknown command", ["fly"], 2, /unknown command 'fly'/],
    ["an unknown option", ["config", "--speed"], 2, /unknown option '--speed'/],
    ["an option that is missing", ["train", "--steps", "9"], 2, /required option '--dataset/],
    ["a number that is none", ["locations", "--count", "many"], 2, /'many' is invalid/],
    [
      "a name that climbs",
      ["enqueue", "--dataset", "../x", "--sample", "5"],
      2,
      /data set "\.\.\/x" is not a valid name/,
    ],
    ["no map file", ["import", "/no/such.osm.pbf"], 3, /\/no\/such\.osm\.pbf: no such file/],
    [
      "no map file for the demo",
      ["demo", "--pbf", "/no/such.osm.pbf"],
      3,
      /\/no\/such\.osm\.pbf: no such file/,
    ],
    ["no data set", ["status", "--dataset", "nowhere"], 3, /there is no data set nowhere/],
    ["no model", ["embed", "--dataset", "town", "--model", "nobody"], 3, /there is no model nobody/],
    [
      "neither file nor sample",
      ["enqueue", "--dataset", "x"],
      2,
      /one of --locations FILE, --table NAME and --sample N/,
    ],
    [
      "an option of a training that there is not",
      ["enqueue", "--dataset", "x", "--sample", "5", "--pairs", "4"],
      2,
      /--pairs is of a model that is trained \(mend: add --train MODEL\)/,
    ],
    [
      "a format of a model's export",
      ["export", "--model", "pretrained", "--format", "csv"],
      2,
      /--format is for the vectors of a data set \(mend: add --dataset NAME; without it the model/,
    ],
    [
      "a format that there is not",
      ["export", "--model", "pretrained", "--dataset", "town", "--format", "zip"],
      2,
      /'zip' is invalid\. Allowed choices are geoparquet, arrow, csv, pgvector, projector/,
    ],
    [
      "a table of a file",
      ["export", "--model", "pretrained", "--dataset", "town", "--table", "x"],
      2,
      /--table: geoparquet has none \(mend: leave it out, or --format pgvector\)/,
    ],
    [
      "a checkpoint of vectors",
      ["export", "--model", "pretrained", "--dataset", "town", "--checkpoint", "best"],
      2,
      /--checkpoint: vectors are of the one that embedded/,
    ],
  ])("%s", async (_, args, code, message) => {
    const ended = await run(...args);
    expect(lines(ended.stderr)).toEqual([expect.stringMatching(message)]);
    expect(ended.code).toBe(code);
  });

  test.each<[string, string[], RegExp]>([
    ["NaN", ["24.94,60.17", "NaN,60.17"], /bad\.csv, row 3: longitude "NaN" is not a number/],
    ["a latitude out of range", ["24.94,95"], /bad\.csv, row 2: latitude 95 is not within ±90/],
    ["swapped columns", ["60.17,24.94", "60.175,24.94"], /bad\.csv: 2 of 2 .*first row 2 .*swap lon and lat/],
    [
      "two faults",
      ["x,60.17", "24.94,60.17", "24.94,95"],
      /bad\.csv: 2 of 3 .*row 2: .*row 4: .*--skip-bad 2/,
    ],
    [
      "places elsewhere",
      ["2.35,48.86", "2.36,48.86"],
      /bad\.csv: 2 of 2 .*\(100%\) lie beyond .*FARM_OUTSIDE=empty/,
    ],
    ["an empty city", [], /bad\.csv: holds no location/],
  ])("a CSV with %s", async (_, rows, message) => {
    const ended = await run("enqueue", "--dataset", "bad", "--locations", await csv(...rows));
    expect(ended).toMatchObject({ code: 3 });
    expect(lines(ended.stderr)).toEqual([expect.stringMatching(message)]);
    expect((await run("status", "--dataset", "bad")).code).toBe(3);
  });

  test("bad rows are left out, and locations outside the map queued, as far as that is allowed; both are said", async () => {
    const path = await csv("24.94,60.17", "x,60.17", "24.945,60.17", "2.35,48.86", "60.17,24.94");
    const args = ["enqueue", "--dataset", "skipping", "--locations", path, "--positives", "0", "--json"];
    expect(await run(...args)).toMatchObject({ code: 3 });
    expect(await run(...args, "--skip-bad", "many")).toMatchObject({ code: 2 });
    const { code, json, stderr } = await run(...args, "--skip-bad", "1");
    expect({ code, json }).toMatchObject({
      code: 0,
      json: { locations: 4, skipped: 1, outside: 2, added: 1 },
    });
    expect(stderr).toMatch(/left out: bad\.csv, row 3: longitude "x" is not a number/);
    expect(stderr).toMatch(
      /bad\.csv: 2 of 4 locations \(50\.0%\) lie beyond the map .*, first row 5 \(2\.35, 48\.86\), row 6 .*; 1 lie in it with lon and lat swapped/,
    );
    const far = ["enqueue", "--dataset", "elsewhere", "--locations", await csv("2.35,48.86"), "--json"];
    expect(await run(...far)).toMatchObject({ code: 3, json: { error: { kind: "input" } } });
    expect(await farm(far, { ...settings, FARM_OUTSIDE: "empty" })).toMatchObject({
      code: 0,
      json: { outside: 1 },
    });
  });

  test("a corrupt and a cut-off map", async () => {
    const [noise, cut] = [join(home, "noise.osm.pbf"), join(home, "cut.osm.pbf")];
    await writeFile(noise, Buffer.alloc(4000, 7));
    await writeFile(cut, (await readFile(pbf)).subarray(0, 100_000));
    for (const path of [noise, cut]) {
      const ended = await run("import", path);
      expect(ended.code).toBe(3);
      expect(lines(ended.stderr)).toEqual([expect.stringContaining(path)]);
    }
    expect((await run("import", pbf, "--json")).code).toBe(0);
  });

  test.each<[string, Record<string, string>, string[], RegExp]>([
    ["Redis", { FARM_REDIS_URL: "redis://127.0.0.1:9" }, ["work", "--until", "empty"], /127\.0\.0\.1:9/],
    [
      "PostgreSQL",
      { FARM_DATABASE_URL: "postgres://a:secret@127.0.0.1:9/x" },
      ["import", "PBF"],
      /PostgreSQL at 127\.0\.0\.1:9/,
    ],
    [
      "S3",
      { FARM_S3_ENDPOINT: "http://127.0.0.1:9" },
      ["train", "--dataset", "town", "--model", "z", "--steps", "1"],
      /127\.0\.0\.1:9/,
    ],
    [
      "a folder that cannot be made",
      { FARM_STORE: "file:///dev/null/store" },
      ["enqueue", "--dataset", "z", "--sample", "3"],
      /\/dev\/null\/store/,
    ],
  ])("out of reach: %s", async (_, changes, args, message) => {
    const ended = await farm(
      args.map((arg) => (arg === "PBF" ? pbf : arg)),
      { ...settings, ...changes },
    );
    expect(ended).toMatchObject({ code: 4 });
    expect(lines(ended.stderr)).toEqual([expect.stringMatching(message)]);
    expect(ended.stderr).not.toContain("secret@");
  });

  test("a port that somebody else has", async () => {
    const server = createServer((socket) => socket.end("hello\r\n")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    for (const [name, which] of [
      ["FARM_REDIS_PORT", "redis"],
      ["FARM_DATABASE_PORT", "database"],
    ] as const) {
      const own = {
        FARM_HOME: join(home, which),
        [name]: String(port),
        ...(which === "redis" ? { FARM_DATABASE_PORT: "1" } : {}),
      };
      const { FARM_REDIS_URL: _r, FARM_DATABASE_URL: _d, ...rest } = settings;
      const args = which === "redis" ? ["status", "--dataset", "town"] : ["import", pbf];
      const ended = await farm(args, { ...rest, ...own });
      expect(ended.code).toBe(4);
      expect(lines(ended.stderr)).toEqual([expect.stringMatching(new RegExp(`port ${port}.*${name}`))]);
    }
    server.close();
  });

  test("an unknown setting", async () => {
    expect(await farm(["config"], { FARM_SPEED: "9" })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/unknown setting FARM_SPEED/),
    });
  });
});
