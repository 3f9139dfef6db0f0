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
 * @param fields those that are looked for
 * @param label name of the column that holds labels: where it is given, kind and weight are of no interest
 * @returns of each field that there is, its index in `names`
 * @throws FarmError `input`, naming both, when two names are equally good
 */
export function matchNames(
  names: readonly string[],
  where: string,
  fields: readonly Field[] = FIELDS,
  label?: string,
): Partial<Record<Field, number>> {
  if (label === undefined) return match(names, where, fields);
  const columns = match(
    names,
    where,
    fields.filter((field) => field === "lon" || field === "lat"),
  );
  const at = indexOf(names, label, where);
  return at === undefined ? columns : { ...columns, label: at };
}

/** The column of a name: as it is written, else in another case. @throws FarmError `input` when several are equally good */
function indexOf(names: readonly string[], wanted: string, where: string): number | undefined {
  const exact = names.findIndex((name) => name.trim() === wanted.trim());
  if (exact >= 0) return exact;
  const alike = [...names.keys()].filter((at) => bare(names[at] as string) === bare(wanted));
  if (alike.length > 1)
    throw twoColumns(
      "label",
      alike.slice(0, 2).map((at) => names[at] as string),
      where,
    );
  return alike[0];
}

function twoColumns(field: Field, names: readonly string[], where: string): FarmError {
  const both = names.map((name) => JSON.stringify(name.trim())).join(" and ");
  return new FarmError("input", `${where}: two columns for ${field}: ${both}`, "keep or rename one of them");
}

function match(
  names: readonly string[],
  where: string,
  wanted: readonly Field[],
): Partial<Record<Field, number>> {
  const candidates: Partial<Record<Field, { at: number; rank: number; rival?: number }>> = {};
  for (const [at, name] of names.entries()) {
    const known = KNOWN.get(bare(name));
    if (known === undefined || !wanted.includes(known.field)) continue;
    const { field, rank } = known;
    const best = candidates[field];
    if (best === undefined || rank < best.rank) candidates[field] = { at, rank };
    else if (rank === best.rank) best.rival ??= at;
  }
  const { lon, lat } = candidates;
  if (lon?.rank === PAIR_RANK && lat?.rank !== PAIR_RANK) delete candidates.lon;
  if (lat?.rank === PAIR_RANK && lon?.rank !== PAIR_RANK) delete candidates.lat;
  const columns: Partial<Record<Field, number>> = {};
  for (const [field, { at, rival }] of Object.entries(candidates) as [Field, NonNullable<typeof lon>][]) {
    if (rival !== undefined) throw twoColumns(field, [names[at] as string, names[rival] as string], where);
    columns[field] = at;
  }
  return columns;
}

/**
 * As {@link matchNames}, of columns among which those of the coordinates must be, and that of the label where one is named.
 *
 * @param where e.g. `a.csv, row 1`
 */
export function requireColumns(
  names: readonly string[],
  where: string,
  label?: string,
): Partial<Record<Field, number>> & { lon: number; lat: number } {
  const columns = matchNames(names, where, FIELDS, label);
  const { lon, lat } = columns;
  if (lon !== undefined && lat !== undefined) {
    checkLabel(names, where, columns, label);
    return { ...columns, lon, lat };
  }
  const missing = lon === undefined ? "lon" : "lat";
  throw new FarmError(
    "input",
    `${where}: no column for ${missing} among ${listed(names)}`,
    `name it one of ${namesOf(missing)}`,
  );
}

/** @throws FarmError `input` when labels are to be read from a column that is not there */
export function checkLabel(
  names: readonly string[],
  where: string,
  columns: Partial<Record<Field, number>>,
  label: string | undefined,
): void {
  if (label === undefined || columns.label !== undefined) return;
  throw new FarmError(
    "input",
    `${where}: no column ${JSON.stringify(label)} among ${listed(names)}`,
    "name the one that holds the labels",
  );
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => name.trim());
  return `${shown.join(", ")}${names.length > 8 ? ", …" : ""}`;
}
