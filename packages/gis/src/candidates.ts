import { openPool, withDatabase } from "@loc2vec/postgres";
import { isMissingTable } from "./database.ts";
import { noMap } from "./import/info.ts";
import type { Profile } from "./profile.ts";
import { tagsOfVenues } from "./venues.ts";

/** A venue of the map, or a ground such as a beach: what somebody may be at. */
export interface Venue {
  /** Kind and number of the OSM object, `way 123`. */
  id: string;
  /** As the profile's `venues` and `grounds` say. */
  class: string;
  /** As the map says it, where it does. */
  name?: string;
  /** A point of it, degrees, WGS 84. */
  lon: number;
  lat: number;
}

/** A venue near a place. */
export interface NearVenue extends Venue {
  /** From the place to the venue's outline, on the ground; 0 inside. What the map has as a point has no outline. */
  metres: number;
  /** Of what the outline encloses, square metres on the ground; 0 for a point. */
  areaM2: number;
}

/** The venues of an imported map. */
export interface VenueSource {
  /**
   * The venues whose outline lies within so many metres of a place, the nearest first. An object that is of two classes is there
   * twice.
   *
   * @param place degrees, WGS 84
   * @param most of them, the nearest
   * @throws FarmError `map-missing`, `service`
   */
  near(place: { lon: number; lat: number }, withinM: number, most: number): Promise<NearVenue[]>;
  close(): Promise<void>;
}

const WORDS: Readonly<Record<string, string>> = { N: "node", W: "way", R: "relation" };

/**
 * Opens the venues of the map that is imported: labelled objects of a class of the profile's `venues`, whose outline is the
 * largest polygon that the map draws of the same object, and what the rules of its `grounds` draw.
 *
 * @throws FarmError `input` when the profile names no venues
 */
export function openVenues(
  databaseUrl: string,
  profile: Pick<Profile, "venues" | "grounds" | "channels">,
): VenueSource {
  const classes = classesOf(profile);
  const pool = openPool(databaseUrl, { connections: 4, application: "loc2vec-venues" });
  return {
    async near({ lon, lat }, withinM, most) {
      const rows = await pool
        .query<[string, string, string, string | null, number, number, number, number]>({
          name: "venues-near",
          text: NEAR,
          values: [...classes, lon, lat, withinM, most],
          rowMode: "array",
        })
        .catch((error: unknown) => {
          throw isMissingTable(error) ? noMap(error) : error;
        });
      return rows.map(([type, id, of, name, lon, lat, metres, areaM2]) => ({
        id: `${WORDS[type]} ${id}`,
        class: of,
        ...(name === null ? {} : { name }),
        ...{ lon, lat, metres, areaM2 },
      }));
    },
    close: () => pool.end(),
  };
}

/**
 * All venues of the imported map, each with a point at random within its outline, in the order of their classes and ids: where
 * visits are simulated. The same map and seed give the same points.
 *
 * @throws FarmError `map-missing`, `service`; `input` when the profile names no venues
 */
export async function readVenues(
  databaseUrl: string,
  profile: Pick<Profile, "venues" | "grounds" | "channels">,
  seed: number,
): Promise<Venue[]> {
  const classes = classesOf(profile);
  const { rows } = await withDatabase(databaseUrl, (client) =>
    client.query<[string, string, string, string | null, number, number]>({
      text: `WITH ${TABLES}, venue AS (
          SELECT name AS class, osm_type, osm_id, title, geom FROM marked
          UNION ALL SELECT class, osm_type, osm_id, title, geom FROM ground
        ), chosen AS (
          SELECT DISTINCT ON (class, osm_type, osm_id) class, osm_type, osm_id, title, geom FROM venue
          ORDER BY class, osm_type, osm_id, ST_Area(geom) DESC
        )
        SELECT osm_type, osm_id::text, class, title, ST_X(point), ST_Y(point) FROM (
          SELECT class, osm_type, osm_id, title, ST_Transform(CASE WHEN ST_Dimension(geom) = 2
            THEN coalesce(ST_GeometryN(ST_GeneratePoints(geom, 1, 1 + ((osm_id + $6) % 100000)::int), 1), ST_PointOnSurface(geom))
            ELSE geom END, 4326) AS point FROM chosen
        ) AS place ORDER BY class, osm_type, osm_id`,
      values: [...classes, seed],
      rowMode: "array",
    }),
  ).catch((error: unknown) => {
    throw isMissingTable(error) ? noMap(error) : error;
  });
  return rows.map(([type, id, of, name, lon, lat]) => ({
    id: `${WORDS[type]} ${id}`,
    class: of,
    ...(name === null ? {} : { name }),
    ...{ lon, lat },
  }));
}

/** Class, key and value of venues, then class and rule of grounds, as a query's first five parameters. */
function classesOf({
  venues,
  grounds,
  channels,
}: Pick<Profile, "venues" | "grounds" | "channels">): unknown[] {
  const tags = tagsOfVenues(venues);
  const rules = new Map(
    channels.flatMap((channel) => channel.rules.map(({ id, index }) => [id, index] as const)),
  );
  const drawn = Object.entries(grounds).flatMap(([name, ids]) =>
    ids.map((id) => [name, rules.get(id)] as const),
  );
  return [
    tags.map(({ name }) => name),
    tags.map(({ key }) => key),
    tags.map(({ value }) => value),
    drawn.map(([name]) => name),
    drawn.map(([, rule]) => rule),
  ];
}

const OUTLINE = `(SELECT feature.geom FROM farm.feature
  WHERE feature.geom && label.geom AND feature.osm_type = label.osm_type AND feature.osm_id = label.osm_id
    AND ST_Dimension(feature.geom) = 2 ORDER BY ST_Area(feature.geom) DESC LIMIT 1)`;

/** `marked`: labelled venues with their outline, or their point; `ground`: grounds. */
const TABLES = `kind AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS kind (name, key, value)
  ), marked AS (
    SELECT kind.name, label.osm_type, label.osm_id, label.name AS title, coalesce(${OUTLINE}, label.geom) AS geom
    FROM farm.label JOIN kind ON label.key = kind.key AND (kind.value IS NULL OR label.value = kind.value)
  ), ground AS (
    SELECT drawn.class, feature.osm_type, feature.osm_id, NULL::text AS title, feature.geom
    FROM farm.feature JOIN unnest($4::text[], $5::int[]) AS drawn (class, rule) USING (rule)
  )`;

/**
 * By two ways, as each needs its index: labels near the place, which have all that are points, and outlines near it, which have
 * the large ones whose middle is far away. Web Mercator stretches by 1/cos(latitude).
 */
const NEAR = `
  WITH place AS MATERIALIZED (
    SELECT ST_Transform(ST_SetSRID(ST_MakePoint($6, $7), 4326), 3857) AS at, cos(radians($7)) AS scale,
      $8::float8 / cos(radians($7)) AS reach
  ), kind AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS kind (name, key, value)
  ), outline AS MATERIALIZED (
    SELECT feature.rule, feature.osm_type, feature.osm_id, feature.geom FROM farm.feature, place
    WHERE ST_DWithin(feature.geom, place.at, place.reach) AND ST_Dimension(feature.geom) = 2
  ), found AS (
    SELECT kind.name AS class, label.osm_type, label.osm_id, label.name AS title, label.geom FROM farm.label
    JOIN kind ON label.key = kind.key AND (kind.value IS NULL OR label.value = kind.value), place
    WHERE ST_DWithin(label.geom, place.at, place.reach)
      AND (label.osm_type = 'N' OR ${OUTLINE} IS NULL)
    UNION ALL
    SELECT kind.name, label.osm_type, label.osm_id, label.name, outline.geom FROM outline
    JOIN farm.label ON label.geom && outline.geom AND label.osm_type = outline.osm_type AND label.osm_id = outline.osm_id
    JOIN kind ON label.key = kind.key AND (kind.value IS NULL OR label.value = kind.value)
    UNION ALL
    SELECT drawn.class, outline.osm_type, outline.osm_id, NULL, outline.geom FROM outline
    JOIN unnest($4::text[], $5::int[]) AS drawn (class, rule) USING (rule)
  ), chosen AS (
    SELECT DISTINCT ON (class, osm_type, osm_id) * FROM found ORDER BY class, osm_type, osm_id, ST_Area(geom) DESC
  )
  SELECT osm_type, osm_id::text, class, title, ST_X(point), ST_Y(point), metres, area FROM (
    SELECT osm_type, osm_id, class, title, ST_Transform(ST_PointOnSurface(geom), 4326) AS point,
      ST_Distance(geom, at) * scale AS metres, ST_Area(geom) * scale ^ 2 AS area
    FROM chosen, place
  ) AS venue ORDER BY metres, class, osm_type, osm_id LIMIT $9`;
