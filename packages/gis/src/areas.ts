import { type Box, HALF_WORLD_M } from "@loc2vec/core";
import type pg from "pg";

/** What is mapped further apart than this, Web Mercator metres, is mapped for itself: between there is no map. */
const APART = 100_000;

/**
 * Cuts features that reach over the antimeridian, which osm2pgsql draws once around the world, in their parts to either side
 * of it. Their labels go to the middle of the largest.
 *
 * @param schema has the tables `feature` and `label`
 */
export async function cutAtAntimeridian(client: pg.Client, schema: string): Promise<void> {
  await client.query(
    `WITH around AS (
       DELETE FROM ${schema}.feature
       WHERE ST_XMax(geom) - ST_XMin(geom) > ${HALF_WORLD_M}
         AND EXISTS (SELECT FROM ST_DumpSegments(geom) AS edge WHERE ST_XMax(edge.geom) - ST_XMin(edge.geom) > ${HALF_WORLD_M})
       RETURNING osm_type, osm_id, rule, ST_ShiftLongitude(ST_Transform(geom, 4326)) AS geom
     ), parts AS (
       SELECT osm_type, osm_id, rule, ST_Transform((ST_Dump(ST_WrapX(geom, 180, -360))).geom, 3857) AS geom
       FROM around WHERE ST_IsValid(geom)
     ), largest AS (
       SELECT DISTINCT ON (osm_type, osm_id) osm_type, osm_id, ST_PointOnSurface(geom) AS middle FROM parts
       ORDER BY osm_type, osm_id, ST_Area(geom) DESC, ST_Length(geom) DESC
     ), labels AS (
       UPDATE ${schema}.label SET geom = middle FROM largest
       WHERE label.osm_type = largest.osm_type AND label.osm_id = largest.osm_id
     )
     INSERT INTO ${schema}.feature (osm_type, osm_id, rule, geom) SELECT * FROM parts`,
  );
}

/**
 * Writes the table `area (id, box)`: the boxes (EPSG:3857) about what of the features lies together, by gaps from west to
 * east, then from south to north.
 *
 * @param schema has the table `feature`
 * @param farReaching numbers of the rules whose features do not count, unless there are no others: a ferry or the border of
 *   a park goes on beyond an extract
 */
export async function mapAreas(
  client: pg.Client,
  schema: string,
  farReaching: readonly number[],
): Promise<void> {
  const others = `rule <> ALL(ARRAY[${farReaching.join(", ")}]::smallint[])`;
  const grouped = (from: string, low: string, high: string, within: string): string => {
    const window = `${within === "" ? "" : `PARTITION BY ${within}`} ORDER BY ${low}, ${high}`;
    return `SELECT *, count(*) FILTER (WHERE apart) OVER (${window} ROWS UNBOUNDED PRECEDING) AS ${low}_group FROM (
      SELECT *, ${low} > ${APART} + max(${high}) OVER (${window} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS apart
      FROM ${from}
    ) AS gaps`;
  };
  // Features whose south-western corners lie in one square lie together; so there are few squares to sort.
  await client.query(
    `CREATE TABLE ${schema}.area AS
     WITH squares AS (
       SELECT min(ST_XMin(geom)) AS west, min(ST_YMin(geom)) AS south, max(ST_XMax(geom)) AS east, max(ST_YMax(geom)) AS north
       FROM ${schema}.feature WHERE ${others} OR NOT EXISTS (SELECT FROM ${schema}.feature WHERE ${others})
       GROUP BY floor(ST_XMin(geom) / ${APART}), floor(ST_YMin(geom) / ${APART})
     ), columns AS (${grouped("squares", "west", "east", "")}),
     cells AS (${grouped("(SELECT west, south, east, north, west_group FROM columns) AS c", "south", "north", "west_group")})
     SELECT row_number() OVER (ORDER BY west_group, south_group)::int AS id,
       ST_MakeEnvelope(min(west), min(south), max(east), max(north), 3857) AS box
     FROM cells GROUP BY west_group, south_group`,
  );
}

/** The box about all areas: that over the antimeridian where it is smaller. */
export async function boxOfAreas(client: pg.Client, schema: string): Promise<Box | undefined> {
  const { rows } = await client.query<Record<"west" | "south" | "east" | "north", number>>(
    `SELECT ST_XMin(box) AS west, ST_YMin(box) AS south, ST_XMax(box) AS east, ST_YMax(box) AS north
     FROM (SELECT ST_Transform(box, 4326) AS box FROM ${schema}.area) AS areas ORDER BY west`,
  );
  const [first] = rows;
  if (first === undefined) return undefined;
  let [west, east] = [first.west, Math.max(...rows.map((row) => row.east))];
  let widest = west + 360 - east;
  let reached = first.east;
  for (const row of rows) {
    if (row.west - reached > widest) {
      widest = row.west - reached;
      [west, east] = [row.west, reached];
    }
    reached = Math.max(reached, row.east);
  }
  const south = Math.min(...rows.map((row) => row.south));
  return [west, south, east, Math.max(...rows.map((row) => row.north))];
}
