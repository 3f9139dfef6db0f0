import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { openStore } from "@loc2vec/shards";
import { type HistoryEntry, listCheckpoints, readBest, readHistory } from "@loc2vec/trainer";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { CREDENTIALS, startMoto } from "../../../test/support/moto.ts";
import { NETWORK, writeStripes } from "../../../test/support/stripes.ts";
import { farm } from "./farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

let folder: string;
let moto: Awaited<ReturnType<typeof startMoto>>;

beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  folder = await mkdtemp(join(tmpdir(), "resume-"));
  moto = await startMoto(inject("python"), "resume");
});
afterAll(async () => {
  moto.stop();
  await rm(folder, { recursive: true, force: true });
});

test.each(["a folder", "S3"])(
  "in %s: killed at whatever moment, again and again, a training ends with the bits of one that ran through",
  {
    timeout: 300_000,
  },
  async (kind) => {
    const url = kind === "S3" ? "s3://resume/deep" : pathToFileURL(join(folder, "store")).href;
    const store = openStore(url, { endpoint: moto.endpoint });
    await writeStripes(store);
    const settings = { FARM_HOME: folder, FARM_STORE: url, FARM_S3_ENDPOINT: moto.endpoint, ...CREDENTIALS };
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
