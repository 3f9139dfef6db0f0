import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openStore } from "@loc2vec/shards";
import { expect, test } from "vitest";
import { NETWORK, writeStripes } from "../../../test/support/stripes.ts";
import { train } from "../src/index.ts";

const old = process.env.GOLDEN === "old";
test("golden", async () => {
  const folder = await mkdtemp(join(tmpdir(), "golden-"));
  const store = openStore(pathToFileURL(folder).href);
  await writeStripes(store);
  for (const [loss, scale] of [
    ["softpn", 1],
    ["softpn", 3],
    ["ratio", 0.25],
    ["softpn", 49],
  ] as const) {
    const model = `${loss}-${scale}`.replace(".", "_");
    const r = await train({
      store,
      dataset: "stripes",
      model,
      steps: 20,
      loss,
      network: JSON.parse(NETWORK),
      warmup: 5,
      halveEvery: 7,
      minDistanceM: 0,
      holdout: { share: 0 },
      batch: { locations: 6, pairs: 3 },
      checkpointEvery: 5,
      ...(old ? { distanceScale: scale } : { temperature: 1 / scale }),
    } as never);
    const w = (await store.get(`models/${model}/checkpoints/step-000020/weights.safetensors`)) as Uint8Array;
    const o = (await store.get(
      `models/${model}/checkpoints/step-000020/optimizer.safetensors`,
    )) as Uint8Array;
    const h = (b: Uint8Array) => createHash("sha256").update(b).digest("hex").slice(0, 12);
    console.log("GOLDEN", model, h(w), h(o), r.history.at(-1)?.loss, JSON.stringify(r.best));
  }
  await rm(folder, { recursive: true });
  expect(1).toBe(1);
});
