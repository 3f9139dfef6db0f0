import { FarmError } from "@loc2vec/core";
import { inTransaction, withDatabase } from "@loc2vec/postgres";
import { isMissingTable } from "./database.ts";
import { noMap } from "./import/info.ts";
import type { Profile, TagMatch } from "./profile.ts";

export interface NearestVenueOptions {
  databaseUrl: string;
  profile: Pick<Profile, "venues">;
  /** Degrees, WGS 84. */
  places: readonly { lon: number; lat: number }[];
  /** Venues farther away, metres on the ground, do not count. */
  withinM: number;
}

/**
 * The class of the nearest venue of each place, as the profile's `venues` say; undefined where there is none near enough.
 *
 * @throws FarmError `input` when the profile has no venues, or nothing is imported; `service`
 */
export async function nearestVenues({
  databaseUrl,
  profile,
  places,
  withinM,
}: NearestVenueOptions): Promise<(string | undefined)[]> {
  const tags = tagsOfVenues(profile.venues);
  return withDatabase(databaseUrl, async (client) => {
    try {
      // Web Mercator stretches by 1/cos(latitude).
      const { rows } = await inTransaction(client, () =>
        client.query<[number, string]>({
          text: `
          WITH venue AS MATERIALIZED (
            SELECT tag.name, label.geom, label.osm_type, label.osm_id FROM farm.label
            JOIN unnest($1::text[], $2::text[], $3::text[]) AS tag (name, key, value)
              ON label.key = tag.key AND (tag.value IS NULL OR label.value = tag.value)
          ), place AS (
            SELECT i, lat, ST_Transform(ST_SetSRID(ST_MakePoint(lon, lat), 4326), 3857) AS geom
            FROM unnest($4::float8[], $5::float8[]) WITH ORDINALITY AS given (lon, lat, i)
          )
          SELECT DISTINCT ON (i) i::float8 - 1, venue.name FROM place
          JOIN venue ON ST_DWithin(place.geom, venue.geom, $6 / cos(radians(lat)))
          ORDER BY i, place.geom <-> venue.geom, osm_type, osm_id, venue.name`,
          values: [
            tags.map(({ name }) => name),
            tags.map(({ key }) => key),
            tags.map(({ value }) => value),
            places.map(({ lon }) => lon),
            places.map(({ lat }) => lat),
            withinM,
          ],
          rowMode: "array",
        }),
      );
      const nearest = new Array<string | undefined>(places.length).fill(undefined);
      for (const [i, name] of rows) nearest[i] = name;
      return nearest;
    } catch (error) {
      if (isMissingTable(error)) throw noMap();
      throw error;
    }
  });
}

/** Class, key and value of each tag that makes a venue; the value is undefined for any. @throws FarmError `input` for none */
export function tagsOfVenues(
  venues: Profile["venues"],
): { name: string; key: string; value: string | undefined }[] {
  const tags = Object.entries(venues).flatMap(([name, match]) =>
    Object.entries(match).flatMap(([key, values]) =>
      (values === true ? [undefined] : values).map((value) => ({ name, key, value })),
    ),
  );
  if (tags.length > 0) return tags;
  throw new FarmError(
    "input",
    "the channel profile names no venues",
    "add `venues` to the file of FARM_STYLE",
  );
}

/** Indices of the channels that draw any of the profile's venues. */
export function channelsOfVenues({ venues, channels }: Profile): number[] {
  const shares = (a: TagMatch, b: TagMatch): boolean =>
    Object.entries(a).some(([key, values]) => {
      const others = b[key];
      return (
        others !== undefined &&
        (values === true || others === true || values.some((value) => others.includes(value)))
      );
    });
  return [...channels.entries()]
    .filter(([, { rules }]) =>
      rules.some(({ match }) => Object.values(venues).some((venue) => shares(venue, match))),
    )
    .map(([at]) => at);
}
