import { z } from "zod";
import { MismatchError } from "./errors.ts";

/** What tiles are drawn from: the same source, seed and locations give the same bytes. */
export const tileSourceSchema = z.object({
  /** The imported map. */
  map: z.object({
    /** Name of its file, for people. */
    name: z.string(),
    /** SHA-256 of its file, hex. */
    sha256: z.string(),
    /** Hash of the rules by which it was imported, hex. */
    importHash: z.string(),
  }),
  /** The renderer, e.g. `mapnik 4.2.1 exact`. */
  renderer: z.string(),
  /** Hash of all that decides how a map is drawn: cartography, size, renderer; hex. */
  styleHash: z.string(),
});

export type TileSource = z.infer<typeof tileSourceSchema>;

/** The map for people: its name and the beginnings of its hashes. */
export function describeMap({ name, sha256, importHash }: TileSource["map"]): string {
  return `${name} (sha256 ${sha256.slice(0, 12)}…, imported with the rules ${importHash.slice(0, 12)}…)`;
}

/**
 * Compares what a data set was drawn from with what would draw now.
 *
 * @param who whose `source` is, e.g. `this worker`
 * @throws MismatchError `data` naming both maps, or both cartographies
 */
export function checkSource(
  dataset: { readonly name: string; readonly source: TileSource },
  source: TileSource,
  who: string,
): void {
  const [was, is] = [dataset.source, source];
  if (was.styleHash !== is.styleHash) {
    throw new MismatchError(
      "cartography-mismatch",
      `data set ${dataset.name} is drawn with the cartography ${was.styleHash}, by ${was.renderer}; ${who} draws ${is.styleHash}, by ${is.renderer}`,
      "use the profile (FARM_STYLE) and FARM_RENDERER that it was enqueued with, or enqueue a data set of another name",
    );
  }
  if (was.map.sha256 !== is.map.sha256 || was.map.importHash !== is.map.importHash) {
    throw new MismatchError(
      "map-mismatch",
      `data set ${dataset.name} is drawn from the map ${describeMap(was.map)}; ${who} has ${describeMap(is.map)}`,
      "import that map again, or enqueue a data set of another name",
    );
  }
}

/** What tells a data set from any other, also from one made anew under its name. */
export const datasetIdentitySchema = z.object({
  name: z.string(),
  seed: z.int(),
  /** SHA-256 of all its locations: coordinates, kinds and labels; hex. */
  locationsSha256: z.string(),
  /** What its tiles are drawn from. */
  source: tileSourceSchema,
});

export type DatasetIdentity = z.infer<typeof datasetIdentitySchema>;

/** The identity for people. */
export function describeIdentity({ name, seed, locationsSha256, source }: DatasetIdentity): string {
  return `data set ${name} (seed ${seed}, locations ${locationsSha256.slice(0, 12)}…, map ${describeMap(source.map)}, cartography ${source.styleHash.slice(0, 12)}…)`;
}

/** Whether two are one: of the same name, seed and locations, drawn from the same map in the same way. */
export function sameDataset(a: DatasetIdentity, b: DatasetIdentity): boolean {
  const told = ({ name, seed, locationsSha256, source: { map, styleHash } }: DatasetIdentity): string =>
    JSON.stringify([name, seed, locationsSha256, map.sha256, map.importHash, styleHash]);
  return told(a) === told(b);
}
