import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { countParameters, LOC2VEC, NETWORKS, PRETRAINED_FOLDER } from "@loc2vec/encoder";
import { openStore } from "@loc2vec/shards";
import { expect, test } from "vitest";
import { openCheckpoint } from "../src/best.ts";
import { PRETRAINED } from "../src/model.ts";

/** Nothing is in it. */
const store = openStore(pathToFileURL(join(tmpdir(), "loc2vec-no-such-store")).href);

test("every store has the model that comes with the farm, under whatever checkpoint is asked for", async () => {
  const checkpoint = await openCheckpoint(store, PRETRAINED);
  const { architecture, channels } = checkpoint.settings;
  expect(architecture).toEqual({
    ...LOC2VEC,
    ...{ layers: NETWORKS.global, halvings: 1, turns: 4 },
  });
  expect(channels).toHaveLength(12);
  expect(countParameters(architecture)).toBe(348_944);
  expect(await openCheckpoint(store, PRETRAINED, "last")).toEqual(checkpoint);
  expect(await openCheckpoint(store, PRETRAINED, checkpoint.step)).toEqual(checkpoint);
  await expect(openCheckpoint(store, PRETRAINED, 7)).rejects.toThrowError(
    `model pretrained has one checkpoint, that of step ${checkpoint.step}`,
  );
});

test("it was not trained on Vancouver, which it is judged on, and its files are small", async () => {
  const { settings } = await openCheckpoint(store, PRETRAINED);
  const maps = [settings.dataset].flat().map(({ source }) => source.map.name);
  expect(maps).toHaveLength(8);
  expect(maps.join(" ")).not.toMatch(/vancouver/i);
  const folder = fileURLToPath(PRETRAINED_FOLDER);
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => (await stat(`${folder}${name}`)).size),
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(2 ** 21);
});
