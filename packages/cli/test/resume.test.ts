// Takes most of a minute: trainings are killed and begun again in processes of their own, each of which loads TensorFlow.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Dataset } from "@loc2vec/core";
import { openStore } from "@loc2vec/shards";
import { type HistoryEntry, listCheckpoints, readBest, readHistory } from "@loc2vec/trainer";
import { expect, test } from "vitest";
import { CREDENTIALS } from "../../../test/support/moto.ts";
import { testStores } from "../../../test/support/stores.ts";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { farm } from "./farm.ts";

const stores = testStores("resume");

test.each(["a folder", "S3"])(
  "in %s: killed at whatever moment, again and again, a training ends with the bits of one that ran through",
  {
    timeout: 300_000,
  },
  async (kind) => {
    const url = kind === "S3" ? "s3://resume/deep" : pathToFileURL(join(stores.folder, "store")).href;
    const store = openStore(url, { endpoint: stores.endpoint });
    await writeStripes(store);
    const settings = {
      FARM_HOME: stores.folder,
      FARM_STORE: url,
      FARM_S3_ENDPOINT: stores.endpoint,
      ...CREDENTIALS,
    };
    const train = (model: string, onStart?: (kill: (signal: NodeJS.Signals) => void) => void) =>
      farm(
        [
          ...["train", "--dataset", "stripes", "--model", model, "--steps", "60", "--checkpoint-every", "10"],
          ...[
            "--batch-locations",
            "6",
            "--pairs",
            "3",
            "--holdout",
            "0.5",
            "--border",
            "0",
            "--min-distance",
            "0",
          ],
          ...["--network", NETWORK, "--json"],
        ],
        settings,
        onStart,
      );
    const figures = async (model: string): Promise<object[]> =>
      (await readHistory(store, model)).map(({ seconds: _s, waited: _w, ...rest }: HistoryEntry) => rest);

    expect((await train("whole")).json).toMatchObject({ step: 60, resumedFrom: 0 });
    // In the middle of steps, and while each of a checkpoint's files is written.
    const moments: [file: string, ms: number][] = [
      ["step-000010/state.json", 0],
      ["step-000020/weights.safetensors", 0],
      ["step-000020/optimizer.safetensors", 0],
      ["step-000030/state.json", 40],
      ["step-000040/weights.safetensors", 1],
      ["step-000050/state.json", 0],
    ];
    for (const [file, ms] of moments) {
      const ended = await train("killed", async (kill) => {
        while ((await store.head(`models/killed/checkpoints/${file}`)) === undefined) await sleep(0);
        await sleep(ms);
        kill("SIGKILL");
      });
      expect(ended.code, ended.stderr).toBeNull();
    }
    const reached = (await listCheckpoints(store, "killed")).at(-1);
    expect((await train("killed")).json).toMatchObject({ step: 60, resumedFrom: reached });
    expect(await figures("killed")).toEqual(await figures("whole"));
    expect(await figures("killed")).toHaveLength(60);
    // Each checkpoint was judged by the same held-out triplets, and the best chosen by them.
    expect(
      (await readHistory(store, "killed")).filter(({ heldout }) => heldout).map(({ step }) => step),
    ).toEqual([10, 20, 30, 40, 50, 60]);
    expect((await readBest(store, "killed"))?.heldout).toBeDefined();
    expect(await readBest(store, "killed")).toEqual(await readBest(store, "whole"));
    for (const file of ["weights.safetensors", "optimizer.safetensors"]) {
      const [a, b] = await Promise.all(
        ["whole", "killed"].map((model) => store.get(`models/${model}/checkpoints/step-000060/${file}`)),
      );
      expect(b, file).toEqual(a);
    }
  },
);

/** Enough for several chunks of embeddings; each tile but for a few pixels blank, so that they are quickly made. */
const MANY: Dataset = { ...STRIPES, name: "many", locations: 20_000, samples: 1, shardLocations: 1000 };
const dots = (location: number): Uint8Array => {
  const tile = new Uint8Array(3 * 32 * 32);
  for (let i = 0; i < 15; i++) tile[i * 200 + (location % 97)] = (location >> i) & 1 ? 255 : 60;
  return tile;
};

test.each(["a folder", "S3"])(
  "in %s: embedding that was killed, and then stopped, goes on with what it had, to the same vectors",
  { timeout: 300_000 },
  async (kind) => {
    const url = kind === "S3" ? "s3://resume/embedded" : pathToFileURL(join(stores.folder, "embedded")).href;
    const store = openStore(url, { endpoint: stores.endpoint });
    await writeStripes(store);
    await writeStripes(store, MANY, { draw: dots, place: (i) => ({ lon: i / 1000, lat: 0 }) });
    const settings = {
      FARM_HOME: stores.folder,
      FARM_STORE: url,
      FARM_S3_ENDPOINT: stores.endpoint,
      ...CREDENTIALS,
    };
    for (const model of ["calm", "killed"]) {
      const given = ["--dataset", "stripes", "--model", model, "--steps", "2", "--network", NETWORK];
      await farm(["train", ...given, "--batch-locations", "6", "--pairs", "3", "--holdout", "0"], settings);
    }
    const embed = (model: string, onStart?: (kill: (signal: NodeJS.Signals) => void) => void) =>
      farm(["embed", "--dataset", "many", "--model", model, "--json"], settings, onStart);
    const chunk = (model: string, index: number) => `models/${model}/embeddings/many/embedding/c/${index}/0`;

    expect((await embed("calm")).json).toMatchObject({ locations: 20_000, kept: 0 });
    for (const [index, signal, code] of [
      [0, "SIGKILL", null],
      [2, "SIGTERM", 130],
    ] as const) {
      const ended = await embed("killed", async (kill) => {
        while ((await store.head(chunk("killed", index))) === undefined) await sleep(1);
        kill(signal);
      });
      expect(ended.code, ended.stderr).toBe(code);
    }
    const rest = await embed("killed");
    expect(rest.json).toMatchObject({ locations: 20_000, step: 2 });
    expect(rest.json.kept).toBeGreaterThanOrEqual(3 * 4096);
    expect(rest.json.kept).toBeLessThan(20_000);
    for (let index = 0; index < 5; index++)
      expect(await store.get(chunk("killed", index))).toEqual(await store.get(chunk("calm", index)));
  },
);
