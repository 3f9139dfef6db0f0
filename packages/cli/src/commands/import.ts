import { withServices } from "@loc2vec/farm";
import { importPbf } from "@loc2vec/gis";
import { defineCommand } from "../command-line.ts";

export const importMap = defineCommand({
  usage: "import <pbf>",
  description: "import an OpenStreetMap extract into PostGIS",
  options: (command) => command.option("--force", "even when it is imported already"),
  async action(context, pbf: string, { force = false }: { force?: boolean }) {
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
  },
});
