import type pg from "pg";
import type { Profile } from "./profile.ts";

/** Web Mercator metres to the left and right of a coastline, where it is asked what lies there. */
const BESIDE = 0.1;
/** An extract cuts coastlines off: they go on to its border the way that their last metres (Web Mercator) go. */
const HEADING = 300;
/** Seas of more points are cut in halves, again and again, which overlap by so many metres, lest seams show … */
const SEA_POINTS = 1000;
const OVERLAP = 2;
/** … down to squares of this side, metres, however many points those have. */
const SMALLEST_PIECE = 100;

/**
 * The sea, which no object of OpenStreetMap is: the coastlines (land to the left, water to the right of them:
 * wiki.openstreetmap.org/wiki/Tag:natural=coastline) and the border of each mapped area cut that area into faces; those to
 * the right of their coastlines are sea. A face that lies on both sides of its coastlines is left out. Where no map is, is
 * no sea. Takes time in proportion to n·log n of the coastlines' points.
 * Goes to the polygon rules that match natural=coastline, which no area has.
 *
 * @param schema has the table `feature`, and `area (id, box)`: the mapped areas. Neither box nor feature reaches over the
 *   antimeridian
 */
export async function assembleSea(client: pg.Client, schema: string, profile: Profile): Promise<void> {
  const rules = profile.channels.flatMap((channel) => channel.rules);
  const coastline = (geometry: string): number[] =>
    rules
      .filter((rule) => {
        const wanted = rule.match.natural;
        return rule.geometry === geometry && Array.isArray(wanted) && wanted.includes("coastline");
      })
      .map((rule) => rule.index);
  const [lines, areas] = [coastline("line"), coastline("polygon")];
  if (lines.length === 0 || areas.length === 0) return;
  await client.query(`
    CREATE TABLE ${schema}.coast (area int NOT NULL, geom geometry NOT NULL);
    CREATE TABLE ${schema}.face (id bigint NOT NULL, geom geometry NOT NULL);
    CREATE TABLE ${schema}.asked (side int NOT NULL, point geometry NOT NULL)`);
  await client.query(
    `INSERT INTO ${schema}.coast
     SELECT area.id, geom FROM ${schema}.feature JOIN ${schema}.area ON ST_Covers(area.box, geom) WHERE rule = $1`,
    [lines[0]],
  );
  await cutIntoFaces(client, schema);
  await askBesideCoastlines(client, schema);
  await keepWhatIsSea(client, schema, areas);
  await client.query(`DROP TABLE ${schema}.coast, ${schema}.face, ${schema}.asked`);
}

/** Cuts each mapped area along its coastlines, which go on to its border, and the faces into pieces: into table `face`. */
async function cutIntoFaces(client: pg.Client, schema: string): Promise<void> {
  await client.query(
    `WITH RECURSIVE chains AS (
       SELECT area, (ST_Dump(ST_LineMerge(ST_Collect(geom)))).geom FROM ${schema}.coast GROUP BY area
     ), ends AS (
       SELECT area, ST_EndPoint(way) AS last, ST_LineInterpolatePoint(way, greatest(0, 1 - ${HEADING} / ST_Length(way))) AS before
       FROM chains, LATERAL (VALUES (geom), (ST_Reverse(geom))) AS ways (way) WHERE NOT ST_IsClosed(geom)
     ), extensions AS (
       SELECT area, ST_MakeLine(last, ST_Translate(last, (ST_X(last) - ST_X(before)) * reach, (ST_Y(last) - ST_Y(before)) * reach)) AS geom
       FROM ends JOIN ${schema}.area ON area.id = ends.area,
         LATERAL (SELECT ST_Perimeter(box) / greatest(ST_Distance(last, before), 1) AS reach) AS far
       WHERE ST_Contains(box, last)
     ), edges AS (
       SELECT area, (ST_Dump(ST_Intersection(geom, box))).geom
       FROM (SELECT * FROM ${schema}.coast UNION ALL SELECT * FROM extensions) AS shores
         JOIN ${schema}.area ON area.id = shores.area
       UNION ALL SELECT id, ST_Boundary(box) FROM ${schema}.area WHERE id IN (SELECT area FROM ${schema}.coast)
     ), faces AS (
       SELECT row_number() OVER (ORDER BY area, ST_XMin(geom), ST_YMin(geom), ST_XMax(geom), ST_YMax(geom)) AS id, geom FROM (
         SELECT area, (ST_Dump(ST_Polygonize(lines))).geom FROM (
           SELECT area, ST_UnaryUnion(ST_Collect(geom)) AS lines FROM edges WHERE ST_Dimension(geom) = 1 GROUP BY area
         ) AS noded GROUP BY area
       ) AS face
     ), pieces AS (
       SELECT id, geom, ST_NPoints(geom) > ${SEA_POINTS} AS large FROM faces
       UNION ALL
       SELECT id, half, ST_NPoints(half) > ${SEA_POINTS} AND greatest(ST_XMax(half) - ST_XMin(half), ST_YMax(half) - ST_YMin(half)) > ${SMALLEST_PIECE}
       FROM pieces, LATERAL (
         SELECT ST_XMin(geom) AS west, ST_YMin(geom) AS south, ST_XMax(geom) AS east, ST_YMax(geom) AS north
       ) AS extent, LATERAL (
         SELECT (west + east) / 2 AS x, (south + north) / 2 AS y, east - west > north - south AS wide, ${OVERLAP / 2} AS lap
       ) AS middle, LATERAL (
         SELECT ST_CollectionExtract(ST_Intersection(geom, envelope), 3) AS half FROM (VALUES
           (ST_MakeEnvelope(west, south, CASE WHEN wide THEN x + lap ELSE east END, CASE WHEN wide THEN north ELSE y + lap END, 3857)),
           (ST_MakeEnvelope(CASE WHEN wide THEN x - lap ELSE west END, CASE WHEN wide THEN south ELSE y - lap END, east, north, 3857))
         ) AS halves (envelope)
       ) AS cut WHERE large
     )
     INSERT INTO ${schema}.face SELECT id, geom FROM pieces WHERE NOT large AND NOT ST_IsEmpty(geom)`,
  );
}

/** Points to the right (side 1) and to the left (-1) of each segment of a coastline: into table `asked`. */
async function askBesideCoastlines(client: pg.Client, schema: string): Promise<void> {
  await client.query(
    `INSERT INTO ${schema}.asked
     SELECT side, ST_SetSRID(ST_MakePoint(
       x + dx / 2 + side * dy / length * ${BESIDE}, y + dy / 2 - side * dx / length * ${BESIDE}), 3857)
     FROM (
       SELECT ST_X(a) AS x, ST_Y(a) AS y, ST_X(b) - ST_X(a) AS dx, ST_Y(b) - ST_Y(a) AS dy, ST_Distance(a, b) AS length
       FROM (
         SELECT ST_StartPoint(segment.geom) AS a, ST_EndPoint(segment.geom) AS b
         FROM ${schema}.coast, LATERAL ST_DumpSegments(coast.geom) AS segment
       ) AS ends WHERE NOT ST_Equals(a, b)
     ) AS segments, (VALUES (1), (-1)) AS sides (side)`,
  );
}

/**
 * Pieces that lie to the right of their coastlines, and hardly anywhere to the left of them, become features.
 *
 * @param areas numbers of the polygon rules that the sea goes to
 */
async function keepWhatIsSea(client: pg.Client, schema: string, areas: readonly number[]): Promise<void> {
  // A piece of a face is prepared once for all points near it, which the index finds.
  await client.query(
    `CREATE INDEX ON ${schema}.asked USING gist (point); ANALYZE ${schema}.asked; ANALYZE ${schema}.face`,
  );
  await client.query(
    `WITH sea AS (
       SELECT face.id FROM ${schema}.face JOIN ${schema}.asked ON ST_Contains(face.geom, asked.point)
       GROUP BY face.id HAVING count(*) FILTER (WHERE side = 1) > 20 * count(*) FILTER (WHERE side = -1)
     )
     INSERT INTO ${schema}.feature (osm_type, osm_id, rule, geom)
     SELECT 'X', row_number() OVER (ORDER BY face.id, ST_XMin(geom), ST_YMin(geom)), area, geom
     FROM sea JOIN ${schema}.face USING (id), unnest($1::smallint[]) AS areas (area)`,
    [areas],
  );
}
