import { writeFile } from "node:fs/promises";
import type { Location } from "@loc2vec/core";
import { importPbf, sampleLocations } from "@loc2vec/gis";
import { type Context, withServices } from "../context.ts";

export async function importMap(
  context: Context,
  pbf: string,
  { force = false }: { force?: boolean },
): Promise<void> {
  const info = await withServices(context, ["database"], async ({ databaseUrl }) =>
    importPbf({
      pbf,
      databaseUrl,
      profile: await context.profile(),
      force,
      log: context.log,
      signal: context.signal,
    }),
  );
  const counts = Object.entries(info.channels).map(([name, count]) => `  ${name.padEnd(24)} ${count}`);
  context.result(info, [
    `${info.pbf}: ${info.labels} labels; features per channel:`,
    ...counts,
    ...(info.invalid > 0 ? [`${info.invalid} objects left out for want of a valid geometry`] : []),
  ]);
}

export interface SampleOptions {
  count: number;
  seed: number;
  kinds: { visit: number; transport: number };
  out?: string;
}

export async function locations(context: Context, { count, seed, kinds, out }: SampleOptions): Promise<void> {
  const found = await withServices(context, ["database"], ({ databaseUrl }) =>
    sampleLocations({ databaseUrl, count, seed, kinds }),
  );
  const csv = ["lon,lat,kind", ...found.map(({ lon, lat, kind }: Location) => `${lon},${lat},${kind}`)];
  if (out === undefined) return context.result(found, csv);
  await writeFile(out, `${csv.join("\n")}\n`);
  context.result({ locations: found.length, file: out }, [`${found.length} locations written to ${out}`]);
}
