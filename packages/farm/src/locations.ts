import { FarmError, footprint, type LocationKind, MAX_OFFSET_M, TILE_RADIUS_M } from "@loc2vec/core";
import {
  describeBad,
  type ImportInfo,
  type LocationSource,
  openLocationFile,
  openLocationTable,
  sampleLocations,
} from "@loc2vec/gis";
import type { FarmContext } from "./context.ts";

/** Where the locations of a data set come from: a file, a table, or a sample of the map. Exactly one of them is named. */
export interface LocationChoice {
  /** Path of a file. */
  locations?: string | undefined;
  /** A table or view of the database. */
  table?: string | undefined;
  /** How many to sample from the map. */
  sample?: number | undefined;
  /** The kind of locations that name none, in a file or table. */
  kind: LocationKind;
  /** Shares of sampled ones. */
  kinds: { visit: number; transport: number };
  /** How many rows that cannot be used are left out at most. */
  skipBad: number;
  /** Seed of the sample's draw. */
  seed: number;
}

/**
 * The locations that are chosen. Says which bad rows are left out, and how many locations lie beyond the map.
 *
 * @throws FarmError `input` where rows cannot be used, or all locations lie beyond the map and FARM_OUTSIDE is not `empty`
 */
export async function openLocations(
  context: FarmContext,
  choice: LocationChoice,
  databaseUrl: string,
  map: ImportInfo,
): Promise<LocationSource> {
  const source = await openChosen(context, choice, databaseUrl, map);
  tellOutside(context, source, map);
  return source;
}

async function openChosen(
  { log, signal, profile }: FarmContext,
  { locations, table, sample, kind, kinds, seed, skipBad }: LocationChoice,
  databaseUrl: string,
  map: ImportInfo,
): Promise<LocationSource> {
  if (sample !== undefined) {
    const sampled = await sampleLocations({
      ...{ databaseUrl, count: sample, seed, kinds },
      profile: await profile(),
    });
    const none = { count: 0, first: [] };
    return {
      name: "the sample",
      count: sampled.length,
      bad: none,
      outside: { ...none, swapped: 0 },
      read: async function* () {
        yield* sampled;
      },
    };
  }
  const { reachM } = footprint(TILE_RADIUS_M, MAX_OFFSET_M);
  const options = { kind, skipBad, signal, bbox: map.bbox, reachM };
  const source =
    table !== undefined
      ? await openLocationTable(databaseUrl, table, options)
      : await openLocationFile(locations as string, options);
  const { name, count, bad } = source;
  if (bad.count > 0) log(`left out: ${describeBad(name, bad, count + bad.count)}`);
  return source;
}

function tellOutside(
  { config, log }: FarmContext,
  { name, count, outside }: LocationSource,
  { pbf, bbox }: ImportInfo,
): void {
  if (outside.count === 0) return;
  const share = ((100 * outside.count) / count).toFixed(outside.count < count ? 1 : 0);
  const swapped = outside.swapped > 0 ? `; ${outside.swapped} lie in it with lon and lat swapped` : "";
  const said =
    `${name}: ${outside.count} of ${count} locations (${share}%) lie beyond the map ${pbf} ` +
    `(${bbox.map((degrees) => degrees.toFixed(4)).join(", ")}), first ${outside.first.join(", ")}${swapped}`;
  if (outside.count === count && config.outside === "error") {
    throw new FarmError("input", said, "import a map of where they are, or set FARM_OUTSIDE=empty");
  }
  const end = config.outside === "error" ? "a worker sets them aside" : "their tiles are empty";
  log(`${said}; ${end}`);
}
