import { writeFile } from "node:fs/promises";
import { withServices } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import { defineCommand } from "../command-line.ts";
import { ratio, seedOption, whole } from "../options.ts";

interface LocationsOptions {
  count: number;
  seed: number;
  kinds: { visit: number; transport: number };
  out?: string;
}

export const locations = defineCommand({
  usage: "locations",
  description: "sample locations from the imported map, as CSV",
  options: (command) =>
    command
      .requiredOption("--count <n>", "how many", whole(1))
      .option("--kinds <visits:transport>", "shares", ratio, { visit: 2, transport: 1 })
      .addOption(seedOption("of the draw"))
      .option("--out <file>", "write to a file rather than to stdout"),
  async action(context, { count, seed, kinds, out }: LocationsOptions) {
    const profile = await context.profile();
    const sampled = await withServices(context, ["database"], ({ databaseUrl }) =>
      sampleLocations({ databaseUrl, count, seed, kinds, profile }),
    );
    // Labels are words of a-z: nothing is to be quoted.
    const lines = sampled.map(({ lon, lat, kind, label = "" }) => `${lon},${lat},${kind},${label}`);
    const csv = ["lon,lat,kind,label", ...lines];
    if (out === undefined) return context.result(sampled, csv);
    await writeFile(out, `${csv.join("\n")}\n`);
    context.result({ locations: sampled.length, file: out }, [
      `${sampled.length} locations written to ${out}`,
    ]);
  },
});
