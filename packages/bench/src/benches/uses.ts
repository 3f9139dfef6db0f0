import { resolve } from "node:path";
import { whole } from "@loc2vec/cli";
import { machine } from "@loc2vec/farm";
import { ensureDatabase, importPbf } from "@loc2vec/gis";
import { Option } from "commander";
import { defineBench, type MapOptions, mapOption } from "../bench.ts";
import { mapFile } from "../map.ts";
import { withBenchServices } from "../services.ts";
import { measureProbe, nameOf, parseProbed } from "./uses-probe.ts";

interface UsesOptions extends MapOptions {
  labels: string[];
  model: string;
  limit: number;
  seeds: number;
  most: number;
}

/** What the vectors are good for, on a map that the model has not seen: the figures of docs/quality.md. */
export const uses = defineBench({
  name: "uses",
  description: "what a model's vectors tell of real labels on a map that it has not seen, beside rivals",
  options: (command) =>
    command
      .addOption(mapOption())
      .requiredOption(
        "--labels <sources...>",
        "FILE:COLUMN, or log:FILE:COLUMN for logarithms; points of that map",
      )
      .option("--model <name>", "whose vectors are probed", "pretrained")
      .addOption(new Option("--limit <n>", "rows of a file, at most").argParser(whole(100)).default(2000))
      .addOption(
        new Option("--seeds <n>", "how often the ground is split anew").argParser(whole(1)).default(2),
      )
      .addOption(
        new Option("--most <n>", "labels that are learned from, at most").argParser(whole(10)).default(1000),
      ),
  async measure(context, { pbf, labels, ...rest }: UsesOptions, report) {
    const columns = labels.map(parseProbed);
    const map = await mapFile(context, pbf);
    const profile = await context.profile();
    return withBenchServices(context, ["database"], async ({ databaseUrl: server }) => {
      const databaseUrl = await ensureDatabase(server, "loc2vec_bench_uses");
      await importPbf({ pbf: map, databaseUrl, profile, signal: context.signal });
      const out = resolve(context.config.home, "bench/uses");
      const probes: Record<string, object> = {};
      for (const each of columns) {
        const name = nameOf(each.labels, each.column);
        probes[name] = await measureProbe(context, databaseUrl, each, { ...rest, out });
        report({ [`probe ${name}`]: probes[name] });
      }
      return { machine: machine(), map: { file: map }, model: rest.model, probes };
    });
  },
});
