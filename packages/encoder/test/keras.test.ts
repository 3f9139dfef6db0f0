import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { kerasLoader } from "../src/index.ts";

const LOADER = resolve(import.meta.dirname, "../python/loc2vec_keras.py");

test("the Keras loader has the layers as their modules have them (run with -u, it is written anew)", async () => {
  await expect(kerasLoader(await readFile(LOADER, "utf8"))).toMatchFileSnapshot(LOADER);
});
