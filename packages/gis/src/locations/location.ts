import { LOCATION_KINDS, type Location, LocationError, type LocationKind } from "@loc2vec/core";
import type { Fields } from "./columns.ts";

/** Web Mercator ends at 85.06°, and a tile reaches beyond its location. */
const MAX_LATITUDE = 85;

/** One row as it was read: its fields, or why it has none. */
export interface Row {
  /** `row 7`, `feature 3` */
  place: string;
  fields: Fields | LocationError;
}

export const MEND_ROW = "mend or drop the row";

/** A row that cannot be used. @param mend a way that is better than to mend or drop it */
export function badRow(place: string, what: string, mend = MEND_ROW): Row {
  return { place, fields: new LocationError(what, mend) };
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const DECIMAL_COMMA = /^[+-]?\d+,\d+$/;
/** 6.864.500,1 and 548,734.8 and 1 234: what spreadsheets make of 52.34432 too. */
const THOUSANDS = /^[+-]?\d{1,3}(?:[.,'’\s]\d{3})+(?:[.,]\d+)?$/;
const SEXAGESIMAL = /[°º˚'’′"”″]|^[NSEWO]\s*\d|\d\s*[NSEWO]$/i;

export const absent = (value: unknown): boolean => value === undefined || value === null || value === "";

/** Whether a number is written with a comma for its decimals. */
export const hasComma = (value: unknown): boolean =>
  typeof value === "string" && DECIMAL_COMMA.test(value.trim());

/** A number as it was read. @param commas whether 1,234 is 1.234 for sure @throws LocationError */
export function number(name: string, read: unknown, commas: boolean): number {
  const value = typeof read === "string" ? read.trim().replace("\u2212", "-") : read;
  if (absent(value)) throw new LocationError(`${name} is missing`, MEND_ROW);
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  const wrong = (what: string, mend = MEND_ROW): LocationError =>
    new LocationError(
      `${name} ${typeof value === "string" ? JSON.stringify(value) : describe(value)} ${what}`,
      mend,
    );
  if (typeof value !== "string") throw wrong("is not a number");
  if (DECIMAL.test(value) && Number.isFinite(Number(value))) return Number(value);
  if (DECIMAL_COMMA.test(value) && (commas || !THOUSANDS.test(value))) return Number(value.replace(",", "."));
  if (THOUSANDS.test(value)) throw wrong("has thousands separators", "write it without them");
  if (/\d/.test(value) && SEXAGESIMAL.test(value)) {
    throw wrong("is not in decimal degrees", "write decimal degrees, west and south negative, e.g. -52.3667");
  }
  throw wrong("is not a number");
}

function describe(value: unknown): string {
  if (typeof value === "number") return String(value);
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part)) ?? "";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** The coordinates of a row as they were read, degrees, whatever their range. @throws LocationError */
export function coordinatesOf({ lon, lat }: Fields): { lon: number; lat: number } {
  return { lon: number("longitude", lon, true), lat: number("latitude", lat, true) };
}

/** Whether a place is on the globe. */
export const onGlobe = ({ lon, lat }: { lon: number; lat: number }): boolean =>
  Math.abs(lon) <= 180 && Math.abs(lat) <= 90;

/**
 * A location from its fields as they were read.
 *
 * @param kind what a location that names no kind is
 * @throws LocationError, which names no place
 */
export function toLocation(
  fields: Fields,
  { lon, lat }: { lon: number; lat: number },
  kind: LocationKind,
): Location {
  const refuse = (what: string, mend = MEND_ROW): LocationError => new LocationError(what, mend);
  if (Math.abs(lat) > 90) {
    const swapped = onGlobe({ lon: lat, lat: lon });
    throw refuse(
      `latitude ${lat} is not within ±90`,
      swapped ? "swap lon and lat where they are swapped, else mend or drop the row" : rangeMend(lon, lat),
    );
  }
  if (Math.abs(lon) > 180) throw refuse(`longitude ${lon} is not within ±180`, rangeMend(lon, lat));
  if (Math.abs(lat) > MAX_LATITUDE) {
    throw refuse(`latitude ${lat} is beyond ±${MAX_LATITUDE}, where Web Mercator ends`, "drop the row");
  }
  const named = typeof fields.kind === "string" ? fields.kind.trim() : fields.kind;
  const locationKind = absent(named) ? kind : LOCATION_KINDS.find((each) => each === named);
  if (locationKind === undefined)
    throw refuse(`unknown kind ${describe(named)}`, `one of ${LOCATION_KINDS.join(", ")}`);
  const location: Location = { lon, lat, kind: locationKind };
  if (!absent(fields.weight)) {
    location.weight = number("weight", fields.weight, hasComma(fields.lon) || hasComma(fields.lat));
    if (location.weight < 0) throw refuse(`weight ${location.weight} is negative`);
  }
  if (!absent(fields.label)) location.label = labelOf(fields.label);
  return location;
}

/** What to do about numbers that are no degrees, by what they seem to be. */
function rangeMend(lon: number, lat: number): string {
  if (Math.abs(lon) > 1000 || Math.abs(lat) > 1000) return REPROJECT;
  return lon > 180 && lon <= 360 ? "subtract 360 from longitudes above 180" : MEND_ROW;
}

export const REPROJECT = "reproject to WGS 84, e.g. ogr2ogr -t_srs EPSG:4326";

function labelOf(value: unknown): string {
  if (value instanceof Uint8Array) throw new LocationError("label is not UTF-8", "save it as UTF-8");
  if (
    typeof value !== "string" &&
    typeof value !== "number" &&
    typeof value !== "bigint" &&
    typeof value !== "boolean"
  )
    throw new LocationError(`label ${describe(value)} is not text`, "give it as text");
  const label = String(value);
  if (/\p{Surrogate}/u.test(label))
    throw new LocationError(`label ${describe(label)} holds half a character`, "write it anew");
  return label;
}
