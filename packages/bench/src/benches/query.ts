import { basename } from "node:path";
import { DEFAULT_AUGMENTATION, locationTransforms, SAMPLES_PER_LOCATION } from "@loc2vec/core";
import { type FarmContext, machine } from "@loc2vec/farm";
import { ensureDatabase, importPbf, readImportInfo, sampleLocations } from "@loc2vec/gis";
import { createRasterizer } from "@loc2vec/rasterizer";
import { defineBench, locationsOption, type MapOptions, mapOption, type Report } from "../bench.ts";
import { spreadFeatures } from "../copies.ts";
import { mapFile } from "../map.ts";
import { withBenchServices } from "../services.ts";

/** How often the map is there in all, the copies spread over the world. */
const COPIES = [1, 100, 3000];

export const query = defineBench({
  name: "query",
  description: "what PostGIS takes for a location, in ever larger tables",
  options: (command) => command.addOption(mapOption()).addOption(locationsOption(200)),
  measure: measureQueries,
});

/** What a location's query costs as the table grows, the surroundings being the same: warm. */
async function measureQueries(
  context: FarmContext,
  { pbf, locations: count }: MapOptions & { locations: number },
  report: Report,
): Promise<object> {
  const map = await mapFile(context, pbf);
  const profile = await context.profile();
  const { log, signal } = context;
  const tables: object[] = [];
  const figures = () => ({ machine: machine(), map: basename(map), locations: count, tables });
  await withBenchServices(context, ["database"], async ({ databaseUrl: server }) => {
    for (const copies of COPIES) {
      const databaseUrl = await ensureDatabase(server, "loc2vec_bench_spread");
      await importPbf({ pbf: map, databaseUrl, profile, force: true, signal });
      const locations = await sampleLocations({ databaseUrl, count, seed: 1 });
      log(`bench: ${copies} copies`);
      if (copies > 1) await spreadFeatures(databaseUrl, copies);
      const info = await readImportInfo(databaseUrl);
      const features = Object.values(info?.channels ?? {}).reduce((sum, count) => sum + count, 0) * copies;
      const times: number[] = [];
      const rasterizer = await createRasterizer({
        databaseUrl,
        profile,
        kind: "fast",
        onStage: (stage, ms) => {
          if (stage === "query") times.push(ms);
        },
      });
      try {
        // The first time warms caches.
        for (let time = 0; time < 2; time++) {
          times.length = 0;
          for (const [i, location] of locations.entries()) {
            signal.throwIfAborted();
            const drawn = { seed: 1, samples: SAMPLES_PER_LOCATION, augmentation: DEFAULT_AUGMENTATION };
            await rasterizer.render(location, locationTransforms(drawn, i), 16);
          }
        }
      } finally {
        await rasterizer.close();
      }
      times.sort((a, b) => a - b);
      const ms = (value: number | undefined): number => Number((value ?? 0).toFixed(2));
      tables.push({
        copies,
        features,
        query_ms: ms(times.reduce((sum, time) => sum + time, 0) / times.length),
        p50_ms: ms(times[times.length >> 1]),
        p95_ms: ms(times[Math.floor(0.95 * times.length)]),
      });
      report(figures());
    }
    // Some gigabytes that nobody needs any more.
    await importPbf({
      pbf: map,
      databaseUrl: await ensureDatabase(server, "loc2vec_bench_spread"),
      profile,
      force: true,
      signal,
    });
  });
  return figures();
}
