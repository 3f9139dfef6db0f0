import { FarmError, LocationError } from "@loc2vec/core";
import { FIELDS, type Fields, matchNames, namesOf, OTHER_FIELDS } from "./columns.ts";
import { badRow, REPROJECT, type Row } from "./location.ts";

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/**
 * The rows of a JSON value: of a GeoJSON object its points, each with the properties of its Feature; of any other object its
 * own keys. What has no point is a bad row.
 *
 * @param place names the value
 * @param label key that holds labels, where it is another than `label`
 * @throws FarmError `input` for a reference system that is not WGS 84
 */
export function* rowsOf(value: unknown, place: string, file: string, label?: string): Generator<Row> {
  if (!isObject(value)) {
    yield badRow(place, `${Array.isArray(value) ? "an array" : JSON.stringify(value)} is not an object`);
    return;
  }
  checkCrs(value.crs, `${file}, ${place}`);
  if (value.type === "FeatureCollection" && Array.isArray(value.features)) {
    if (value.features.length === 0) yield badRow(place, "an empty FeatureCollection");
    for (const [at, feature] of value.features.entries())
      yield* rowsOf(feature, `${place}, feature ${at + 1}`, file, label);
  } else if (value.type === "FeatureCollection") {
    yield badRow(place, "a FeatureCollection without features");
  } else if (value.type === "Topology") {
    throw new FarmError(
      "input",
      `${file}: TopoJSON`,
      "make GeoJSON of it, e.g. ogr2ogr -f GeoJSONSeq OUT.geojsonl FILE",
    );
  } else if (value.type === "Feature") {
    yield* pointsOf(
      value.geometry,
      place,
      named(isObject(value.properties) ? value.properties : {}, OTHER_FIELDS, label),
    );
  } else if ("coordinates" in value || "geometries" in value) {
    yield* pointsOf(value, place, {});
  } else {
    yield { place, fields: named(value, FIELDS, label) };
  }
}

/** The wanted fields of an object, by its keys. */
function named(
  object: Json,
  wanted: readonly (keyof Fields)[],
  label: string | undefined,
): Fields | LocationError {
  const names = Object.keys(object);
  let columns: ReturnType<typeof matchNames>;
  try {
    columns = matchNames(names, "keys", wanted, label);
  } catch (error) {
    if (error instanceof FarmError) return new LocationError(error.message, error.mend);
    throw error;
  }
  const missing = (["lon", "lat"] as const).find(
    (field) => wanted.includes(field) && columns[field] === undefined,
  );
  if (missing !== undefined) {
    const shown = `${names.slice(0, 8).join(", ")}${names.length > 8 ? ", …" : ""}`;
    return new LocationError(
      `no key for ${missing} among ${shown || "none"}`,
      `name it one of ${namesOf(missing)}, or give GeoJSON Points`,
    );
  }
  const fields: Fields = {};
  for (const [field, at] of Object.entries(columns))
    fields[field as keyof Fields] = object[names[at] as string];
  return fields;
}

/** A row for each point of a geometry, in its order. */
export function* pointsOf(geometry: unknown, place: string, others: Fields | LocationError): Generator<Row> {
  for (const wrong of [others, geometry]) {
    if (wrong instanceof LocationError) {
      yield { place, fields: wrong };
      return;
    }
  }
  if (!isObject(geometry)) {
    yield badRow(place, "it has no geometry");
    return;
  }
  const { type, coordinates, geometries } = geometry;
  const point = (at: unknown, where: string): Row => {
    if (!Array.isArray(at) || at.length < 2) return badRow(where, "a Point without coordinates");
    return { place: where, fields: { lon: at[0], lat: at[1], ...others } };
  };
  const part = (name: string, at: number, of: number): string =>
    of === 1 ? place : `${place}, ${name} ${at + 1}`;
  if (type === "Point") {
    yield point(coordinates, place);
  } else if (type === "MultiPoint" && Array.isArray(coordinates)) {
    if (coordinates.length === 0) yield badRow(place, "a MultiPoint without a point");
    for (const [at, member] of coordinates.entries())
      yield point(member, part("point", at, coordinates.length));
  } else if (type === "GeometryCollection" && Array.isArray(geometries)) {
    if (geometries.length === 0) yield badRow(place, "a GeometryCollection without a geometry");
    for (const [at, member] of geometries.entries())
      yield* pointsOf(member, part("geometry", at, geometries.length), others);
  } else {
    yield badRow(place, `geometry ${String(type)} is not a Point`, "take its centroid, or drop the row");
  }
}

/** WGS 84 by longitude and latitude, as a URN, a URL or for short; 4979 has heights besides. */
const WGS84 =
  /^(?:urn:(?:x-)?ogc:def:crs:|https?:\/\/www\.opengis\.net\/(?:def\/crs\/|gml\/srs\/epsg\.xml#))?(?:(?:OGC[:/][\d.]*[:/]?)?CRS84h?|(?:EPSG[:/][\d.]*[:/]?)?(?:4326|4979)|WGS ?84(?: \(CRS84\))?)$/i;

export const isWgs84 = (name: string): boolean => WGS84.test(name.trim());

/**
 * Checks the member `crs` of GeoJSON (of 2008; RFC 7946 has none).
 *
 * @throws FarmError `input` naming it, unless it is absent, null or WGS 84
 */
export function checkCrs(crs: unknown, where: string): void {
  if (crs === undefined || crs === null) return;
  const properties = isObject(crs) && isObject(crs.properties) ? crs.properties : {};
  const { name, href, code } = properties as { name?: unknown; href?: unknown; code?: unknown };
  const said =
    typeof crs === "string" ? crs : (name ?? href ?? (code === undefined ? undefined : `EPSG:${code}`));
  if (typeof said === "string" && isWgs84(said)) return;
  throw new FarmError(
    "input",
    `${where}: crs ${typeof said === "string" ? said : JSON.stringify(crs)} is not WGS 84`,
    REPROJECT,
  );
}
