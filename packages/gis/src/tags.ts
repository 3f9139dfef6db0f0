import { FarmError, type Place } from "@loc2vec/core";
import { inTransaction, withDatabase } from "@loc2vec/postgres";
import { isMissingTable } from "./database.ts";
import { noMap } from "./import/info.ts";
import type { Profile } from "./profile.ts";

export interface CountTagsOptions {
  databaseUrl: string;
  profile: Pick<Profile, "channels">;
  /** Degrees, WGS 84. */
  places: readonly Place[];
  /** Objects farther away, metres on the ground, do not count. */
  withinM: number;
  /** Tags that are counted: those found at most of the places. Default 64. */
  most?: number;
  signal?: AbortSignal | undefined;
}

/** How often tags occur about places. */
export interface TagCounts {
  /** Of each column: a rule of the profile, `buildings: house`, or a tag of what is labelled, `amenity=cafe`. */
  tags: string[];
  /** Objects that have the tag, float32 [places, tags]. */
  counts: Float32Array;
}

/** Places that one query is for. */
const AT_A_TIME = 500;

/**
 * Counts the map's objects about each place: by the rules of the profile that took them, and by the tags that label points.
 *
 * @throws FarmError `input` when nothing is imported; `service`
 */
export async function countTags(options: CountTagsOptions): Promise<TagCounts> {
  const { databaseUrl, profile, places, withinM, most = 64, signal } = options;
  const rules = profile.channels.flatMap((channel) =>
    channel.rules.map(({ index, id }) => ({ index, name: `${channel.name}: ${id}` })),
  );
  const found = await withDatabase(databaseUrl, async (client) => {
    const rows: [number, string, number][] = [];
    try {
      for (let first = 0; first < places.length; first += AT_A_TIME) {
        signal?.throwIfAborted();
        const some = places.slice(first, first + AT_A_TIME);
        const answer = await inTransaction(client, () =>
          client.query<[number, string, number]>({
            // Web Mercator stretches by 1/cos(latitude).
            text: `
            WITH place AS (
              SELECT i, $3 / cos(radians(lat)) AS reach,
                ST_Transform(ST_SetSRID(ST_MakePoint(lon, lat), 4326), 3857) AS geom
              FROM unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS given (lon, lat, i)
            ), rule AS (SELECT * FROM unnest($4::int[], $5::text[]) AS named (index, name))
            SELECT i::float8 - 1, rule.name, count(DISTINCT (osm_type, osm_id))::float8
            FROM place JOIN farm.feature AS feature ON ST_DWithin(place.geom, feature.geom, reach)
            JOIN rule ON rule.index = feature.rule GROUP BY i, rule.name
            UNION ALL
            SELECT i::float8 - 1, key || '=' || value, count(DISTINCT (osm_type, osm_id))::float8
            FROM place JOIN farm.label AS label ON ST_DWithin(place.geom, label.geom, reach)
            GROUP BY i, key, value`,
            values: [
              some.map(({ lon }) => lon),
              some.map(({ lat }) => lat),
              withinM,
              rules.map(({ index }) => index),
              rules.map(({ name }) => name),
            ],
            rowMode: "array",
          }),
        );
        for (const [i, tag, count] of answer.rows) rows.push([first + i, tag, count]);
      }
    } catch (error) {
      if (isMissingTable(error)) throw noMap();
      throw error;
    }
    return rows;
  });
  const spread = new Map<string, number>();
  for (const [, tag] of found) spread.set(tag, (spread.get(tag) ?? 0) + 1);
  const tags = [...spread]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, most)
    .map(([tag]) => tag);
  if (tags.length === 0)
    throw new FarmError(
      "input",
      `the map shows nothing within ${withinM} m of any place`,
      "import the map of that ground",
    );
  const column = new Map(tags.map((tag, at) => [tag, at]));
  const counts = new Float32Array(places.length * tags.length);
  for (const [place, tag, count] of found) {
    const at = column.get(tag);
    if (at !== undefined) counts[place * tags.length + at] = count;
  }
  return { tags, counts };
}
