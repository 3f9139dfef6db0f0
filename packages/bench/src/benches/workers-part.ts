// A process of the workers bench: renders locations from when it is told, and says when that is done.
import { DEFAULT_AUGMENTATION, locationTransforms, SAMPLES_PER_LOCATION } from "@loc2vec/core";
import { loadProfile, sampleLocations } from "@loc2vec/gis";
import { createRasterizer } from "@loc2vec/rasterizer";
import { next, send } from "../children.ts";

export interface Task {
  databaseUrl: string;
  style: string;
  /** Seed of the sample. */
  seed: number;
  locations: number;
}

const { databaseUrl, style, seed, locations: count } = (await next()) as Task;
const locations = await sampleLocations({ databaseUrl, count, seed });
const profile = await loadProfile(style);
const rasterizer = await createRasterizer({ databaseUrl, profile, kind: "fast" });
const render = async (first: number, end: number): Promise<void> => {
  for (const [i, location] of locations.slice(first, end).entries()) {
    const options = { seed, samples: SAMPLES_PER_LOCATION, augmentation: DEFAULT_AUGMENTATION };
    await rasterizer.render(location, locationTransforms(options, first + i), 16);
  }
};
await render(0, 20);
const go = next();
await send("ready");
await go;
await render(0, count);
await send("done");
await rasterizer.close();
process.exit();
