// Takes half a minute: each example is run as a user runs it, servers, rendering and training with it.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureDatabase, loadProfile } from "@loc2vec/gis";
import { openDataset, openStore } from "@loc2vec/shards";
import { findNvidia } from "@loc2vec/tensorflow";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { farm } from "../packages/cli/test/farm.ts";
import { check, findHelm, template } from "./infra/helm.ts";
import { writeStripes } from "./support/stripes.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
    python: string;
  }
}

const EXAMPLES = resolve(import.meta.dirname, "../examples");
const MAP = join(EXAMPLES, "helsinki.osm.pbf");

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "examples-"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program as a user does, from a folder that is not the project's, with these settings of the farm and no others. */
async function run(command: string, args: readonly string[], settings: Record<string, string>): Promise<Ran> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FARM_")));
  const child = spawn(command, args, {
    cwd: home,
    env: { ...env, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ran = { code: null as number | null, stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      ran[name] += text;
    });
  }
  ran.code = await new Promise((done, fail) => child.once("error", fail).once("close", done));
  return ran;
}

/** Settings of an example: the tests' servers, with a database, queues and a store of its own. */
async function settingsOf(name: string): Promise<Record<string, string>> {
  return {
    FARM_HOME: join(home, name),
    FARM_STORE: `file://${join(home, name, "store")}`,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: await ensureDatabase(inject("databaseUrl"), `example_${name.replaceAll("-", "_")}`),
    FARM_QUEUE_PREFIX: `example-${name}-${process.pid}`,
  };
}

/** What a script printed, for a look when it failed. */
const ended = ({ code, stderr }: Ran) => ({ code, errors: stderr.match(/^error: .*$/gm) ?? [] });
const FINE = { code: 0, errors: [] };

test("own-city: from a map to vectors and pictures", { timeout: 180_000 }, async () => {
  const settings = await settingsOf("own-city");
  expect(ended(await run(join(EXAMPLES, "own-city/run.sh"), [MAP, "city", "60", "2"], settings))).toEqual(
    FINE,
  );
  const store = openStore(settings.FARM_STORE as string);
  expect(await store.head("models/city/embeddings/city/embedding/c/0/0")).toMatchObject({
    size: expect.any(Number),
  });
  expect(await readFile(join(home, "own-city/atlases/city-city/index.html"), "utf8")).toContain("figure 18");
});

test("own-locations: twelve places with labels, embedded with a model of their region", {
  timeout: 180_000,
}, async () => {
  const settings = await settingsOf("own-locations");
  const script = join(EXAMPLES, "own-locations/run.sh");
  const places = join(EXAMPLES, "own-locations/places.csv");
  expect(ended(await run(script, [places, MAP, "60", "2"], settings))).toEqual(FINE);
  const reader = await openDataset(openStore(settings.FARM_STORE as string), "places");
  const rows = (await readFile(places, "utf8")).trim().split("\n").slice(1);
  expect(reader.dataset).toMatchObject({ locations: 12, samples: 1 });
  const { lon, lat } = await reader.locations(0, 12);
  expect(rows.map((row) => row.split(",").slice(0, 2).map(Number))).toEqual(
    Array.from(lon, (value, i) => [value, lat[i]]),
  );
  const read = join(EXAMPLES, "read-from-python/read.py");
  const { code, stdout } = await run(
    inject("python"),
    [read, join(home, "own-locations/store"), "places", "region"],
    {},
  );
  expect(code).toBe(0);
  expect(stdout).toContain("12 locations of helsinki.osm.pbf, © OpenStreetMap contributors");
  // The place nearest to the first is the first itself.
  expect(stdout).toMatch(/^ +0\.000 {2}24\.94121 60\.17121 {2}central railway station$/m);
  const out = join(home, "own-locations/places.parquet");
  const exported = await farm(["export", "--dataset", "places", "--model", "region", "--out", out], settings);
  expect(exported.code, exported.stderr).toBe(0);
  const again = await run(inject("python"), [join(EXAMPLES, "read-from-python/exported.py"), out], {});
  expect(ended(again)).toEqual(FINE);
  expect(again.stdout).toContain("12 places in OGC:CRS84, vectors float32[12, 16]");
  expect(again.stdout).toMatch(/^ +0\.000 {2}24\.94121 60\.17121 {2}location \d+$/m);
});

test("ask-the-api: from TypeScript and from Python the same is heard, and what is refused is told", {
  timeout: 180_000,
}, async () => {
  const settings = { ...(await settingsOf("ask-the-api")), FARM_SERVE_TOKENS: "a-token-of-the-examples" };
  const sampled = ["--sample", "40", "--positives", "0"];
  for (const args of [
    ["import", MAP],
    ["enqueue", "--dataset", "city", ...sampled],
    ["work", "--until", "empty"],
    ["embed", "--dataset", "city", "--model", "pretrained"],
  ])
    expect((await farm(args, settings)).code, args.join(" ")).toBe(0);
  let asked: Promise<Ran[]> | undefined;
  const serve = ["serve", "--dataset", "city", "--model", "pretrained", "--port", "0"];
  const { code } = await farm(serve, settings, (kill, stderr) => {
    let text = "";
    stderr.on("data", (chunk: string) => {
      text += chunk;
      const url = /^serve: (http:.*)$/m.exec(text)?.[1];
      if (url === undefined || asked !== undefined) return;
      const programs = [
        [process.execPath, join(EXAMPLES, "ask-the-api/ask.ts")],
        [inject("python"), join(EXAMPLES, "ask-the-api/ask.py")],
      ] as const;
      const spots = [
        ["24.9521", "60.1704"],
        ["2.35", "48.85"],
      ] as const;
      const token = { API_TOKEN: "a-token-of-the-examples" };
      asked = Promise.all(
        programs.flatMap(([program, script]) =>
          spots.map((spot) => run(program, [script, url, ...spot], token)),
        ),
      ).finally(() => kill("SIGTERM"));
    });
  });
  expect(code).toBe(0);
  const [ts, tsBeyond, py, pyBeyond] = (await asked) as [Ran, Ran, Ran, Ran];
  expect([ts.code, py.code, ts.stderr, py.stderr]).toEqual([0, 0, "", ""]);
  expect(ts.stdout).toBe(py.stdout);
  expect(ts.stdout).toMatch(/^40 locations of city, by pretrained, © OpenStreetMap contributors/);
  expect(
    ts.stdout.match(/^\d\.\d{3} {2}\d+ m {2}24\.\d+ 60\.\d+ {2}location \d+$/gm)?.length,
  ).toBeGreaterThan(1);
  for (const { code, stderr } of [tsBeyond, pyBeyond]) {
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /lies beyond the map helsinki\.osm\.pbf \(beyond-map; mend: ask for a spot within the box/,
    );
  }
});

test("own-channels: tiles and network have the channels of the profile", {
  timeout: 180_000,
}, async () => {
  const settings = await settingsOf("own-channels");
  const channels = join(EXAMPLES, "own-channels/channels.yaml");
  const script = join(EXAMPLES, "own-channels/run.sh");
  expect(ended(await run(script, [channels, MAP, "60", "2"], settings))).toEqual(FINE);
  const store = openStore(settings.FARM_STORE as string);
  const names = (await loadProfile(channels)).channels.map(({ name }) => name);
  expect(names).toContain("street_furniture");
  expect((await openDataset(store, "own-channels")).dataset.channels).toEqual(names);
  const model = new TextDecoder().decode(await store.get("models/own-channels/model.json"));
  expect(JSON.parse(model)).toMatchObject({ step: 2, settings: { architecture: { channels: 5 } } });
});

test("read-from-python: a data set with positives and no labels", async () => {
  const store = join(home, "stripes");
  await writeStripes(openStore(`file://${store}`));
  const settings = { FARM_HOME: home, FARM_STORE: `file://${store}` };
  const stripes = ["--dataset", "stripes", "--model", "stripes"];
  const network = ["--network", '{"pooled":[8,8],"pointwise":[8],"dense":8,"embedding":8}'];
  const small = ["--batch-locations", "6", "--pairs", "3", "--holdout", "0", "--min-distance", "0"];
  expect((await farm(["train", ...stripes, "--steps", "2", ...network, ...small], settings)).code).toBe(0);
  expect((await farm(["embed", ...stripes], settings)).code).toBe(0);
  const read = join(EXAMPLES, "read-from-python/read.py");
  const { code, stdout } = await run(inject("python"), [read, store, "stripes", "stripes"], {});
  expect(code).toBe(0);
  expect(stdout).toMatch(/vectors: float32\[24, 8\], of model stripes after step 2/);
  expect(stdout).toMatch(/positive 1: turned by \d+ degrees/);
});

test("gpu-node: the chart takes its values", { timeout: 1_200_000 }, async () => {
  const values = join(EXAMPLES, "gpu-node/values.yaml");
  const yaml = await template(await findHelm(), ["--set", "store=s3://bucket/prefix", "--values", values]);
  const { objects, problems } = await check(inject("python"), yaml);
  expect(problems).toEqual([]);
  const trainer = objects.find(
    ({ kind, metadata }) =>
      kind === "Deployment" && metadata.labels?.["app.kubernetes.io/component"] === "trainer",
  );
  expect(trainer?.spec).toMatchObject({
    template: {
      spec: {
        containers: [
          {
            image: expect.stringMatching(/trainer-gpu/),
            resources: { limits: { "nvidia.com/gpu": 1 } },
          },
        ],
        nodeSelector: { "node.kubernetes.io/instance-type": "g6.xlarge" },
      },
    },
  });
  const job = objects.find(({ kind }) => kind === "Job");
  expect(JSON.stringify(job?.spec)).toContain('"--train","city","--steps","20000","--embed"');
});

test.runIf(findNvidia() === undefined)(
  "gpu-node: without a GPU its script ends before it trains, and says what is missing",
  async () => {
    const settings = { FARM_HOME: join(home, "gpu"), FARM_STORE: `file://${join(home, "gpu/store")}` };
    const { code, stdout } = await run(join(EXAMPLES, "gpu-node/train.sh"), [], settings);
    expect(code).not.toBe(0);
    expect(stdout).toMatch(/^MISSING nvidia driver: .*mend: NVIDIA's driver/m);
  },
);
