import { FarmError, type Location } from "@loc2vec/core";

/** What a location may be given: degrees, kind, weight, label. */
export type Field = keyof Location;
/** The fields of one location as they were read. */
export type Fields = Partial<Record<Field, unknown>>;

/** Names of each field, the better ones first; those of one line are as good as each other. */
const NAMES: Readonly<Record<Field, readonly (readonly string[])[]>> = {
  lon: [["lon"], ["longitude", "lng", "long"], ["x"]],
  lat: [["lat"], ["latitude"], ["y"]],
  kind: [["kind"]],
  weight: [["weight"]],
  label: [["label"]],
};
export const FIELDS = Object.keys(NAMES) as readonly Field[];
/** All but the coordinates. */
export const OTHER_FIELDS = FIELDS.filter((field) => field !== "lon" && field !== "lat");
/** Names of x and y: they may as well be pixels, and are coordinates only as a pair. */
const PAIR_RANK = 2;

const KNOWN = new Map<string, { field: Field; rank: number }>();
for (const field of FIELDS) {
  for (const [rank, names] of NAMES[field].entries())
    for (const name of names) KNOWN.set(name, { field, rank });
}

/** The names that a column of this field may have, the best first. */
export const namesOf = (field: Field): string => NAMES[field].flat().join(", ");

/** Spaces, byte order marks and quotes around a name are not of it. */
const bare = (name: string): string => name.replace(/^[\s\uFEFF"'`]+|[\s\uFEFF"'`]+$/g, "").toLowerCase();

/**
 * Which of these names stands for which field: the one rule for the columns of CSV, Parquet and tables, and for the keys of
 * JSON. Case does not matter; `lon` wins over `longitude`, `lng` and `long`, and these over `x`; `x` and `y` count as a
 * pair only.
 *
 * @param wanted the fields that are looked for
 * @returns of each field that there is, its index in `names`
 * @throws FarmError `input`, naming both, when two names are equally good
 */
export function matchNames(
  names: readonly string[],
  where: string,
  wanted: readonly Field[] = FIELDS,
): Partial<Record<Field, number>> {
  const candidates: Partial<Record<Field, { at: number; rank: number; rival?: number }>> = {};
  for (const [at, name] of names.entries()) {
    const match = KNOWN.get(bare(name));
    if (match === undefined || !wanted.includes(match.field)) continue;
    const { field, rank } = match;
    const best = candidates[field];
    if (best === undefined || rank < best.rank) candidates[field] = { at, rank };
    else if (rank === best.rank) best.rival ??= at;
  }
  const { lon, lat } = candidates;
  if (lon?.rank === PAIR_RANK && lat?.rank !== PAIR_RANK) delete candidates.lon;
  if (lat?.rank === PAIR_RANK && lon?.rank !== PAIR_RANK) delete candidates.lat;
  const columns: Partial<Record<Field, number>> = {};
  for (const [field, { at, rival }] of Object.entries(candidates) as [Field, NonNullable<typeof lon>][]) {
    if (rival !== undefined) {
      const both = [names[at], names[rival]].map((name) => JSON.stringify(name?.trim())).join(" and ");
      throw new FarmError(
        "input",
        `${where}: two columns for ${field}: ${both}`,
        "keep or rename one of them",
      );
    }
    columns[field] = at;
  }
  return columns;
}

/** As {@link matchNames}, of columns among which those of the coordinates must be. @param where e.g. `a.csv, row 1` */
export function requireColumns(
  names: readonly string[],
  where: string,
): Partial<Record<Field, number>> & { lon: number; lat: number } {
  const columns = matchNames(names, where);
  const { lon, lat } = columns;
  if (lon !== undefined && lat !== undefined) return { ...columns, lon, lat };
  const missing = lon === undefined ? "lon" : "lat";
  const shown = names
    .slice(0, 8)
    .map((name) => name.trim())
    .join(", ");
  throw new FarmError(
    "input",
    `${where}: no column for ${missing} among ${shown}${names.length > 8 ? ", …" : ""}`,
    `name it one of ${namesOf(missing)}`,
  );
}
