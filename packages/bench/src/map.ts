import { resolve } from "node:path";
import {
  DEFAULT_AUGMENTATION,
  type Levels,
  type Location,
  locationTransforms,
  SAMPLES_PER_LOCATION,
} from "@loc2vec/core";
import type { FarmContext } from "@loc2vec/farm";
import { ensureDatabase, fetchDemoMap, importPbf } from "@loc2vec/gis";
import { createRasterizer, type Rasterizer } from "@loc2vec/rasterizer";
import { withBenchServices } from "./services.ts";

/** Path of the map that is named, or of a small one that is fetched. */
export async function mapFile(
  { config, log }: Pick<FarmContext, "config" | "log">,
  pbf: string | undefined,
): Promise<string> {
  return pbf === undefined ? (await fetchDemoMap({ home: config.home, log })).path : resolve(pbf);
}

export interface ImportedMap {
  /** Path of the file. */
  map: string;
  /** Its area, degrees: west, south, east, north. */
  bbox: readonly [number, number, number, number];
  databaseUrl: string;
  rasterizer: Rasterizer;
  /** Renders an anchor and 20 positives of each location: planar uint8 [channel, y, x]. */
  render: (locations: readonly Location[], levels?: Levels) => Promise<Uint8Array[][]>;
}

/** Imports the map, on the benches' own server, and runs `work` with a renderer. */
export async function withMap<T>(
  context: FarmContext,
  pbf: string | undefined,
  work: (imported: ImportedMap) => Promise<T>,
): Promise<T> {
  const map = await mapFile(context, pbf);
  const profile = await context.profile();
  const { config, signal } = context;
  return withBenchServices(context, ["database"], async ({ databaseUrl: server }) => {
    const databaseUrl = await ensureDatabase(server, "loc2vec_bench");
    const { bbox } = await importPbf({ pbf: map, databaseUrl, profile, signal });
    const rasterizer = await createRasterizer({ databaseUrl, profile, kind: config.renderer });
    const drawn = { seed: 1, samples: SAMPLES_PER_LOCATION, augmentation: DEFAULT_AUGMENTATION };
    const render = (locations: readonly Location[], levels?: Levels): Promise<Uint8Array[][]> =>
      Promise.all(
        locations.map((location, i) => rasterizer.render(location, locationTransforms(drawn, i), levels)),
      );
    try {
      return await work({ map, bbox, databaseUrl, rasterizer, render });
    } finally {
      await rasterizer.close();
    }
  });
}
