import { FarmError, type Location, Purpose, type Random, randomOf } from "@loc2vec/core";
import { inTransaction, withDatabase } from "@loc2vec/postgres";
import type pg from "pg";
import { isMissingTable } from "./database.ts";
import { checkRules, noMap, selectInfo } from "./import/info.ts";
import type { Profile } from "./profile.ts";

export interface SampleOptions {
  databaseUrl: string;
  count: number;
  seed: number;
  /** Shares of the two kinds, e.g. 2 : 1 (the default). */
  kinds?: { visit: number; transport: number };
  /** That the map was imported with: its rules' modes become the labels of transport. Without it, nothing has a label. */
  profile?: Profile;
}

/** How far a visit's coordinate lies from the place, metres: what a phone's fix is off by. */
const NOISE_M = [3, 30] as const;
/** Web Mercator's metres are the ground's at the equator; degrees per metre there. */
const DEGREES_PER_METRE = 360 / 40_075_016.686;

/**
 * Draws locations from the imported map: visits within 3–30 m of a labelled place or a building (half of each, where both
 * exist), transport on roads and rails, every metre on the ground equally likely. The kinds are shuffled. The same import, count and seed
 * give the same locations. With a profile, those in transport are labelled with the mode of the rule that they were drawn from.
 *
 * @throws FarmError `input` when nothing is imported, or by other rules than the profile's, or the map has nothing to draw from;
 *   `usage`, `service`
 */
export async function sampleLocations({
  databaseUrl,
  count,
  seed,
  kinds = { visit: 2, transport: 1 },
  profile,
}: SampleOptions): Promise<Location[]> {
  if (!Number.isInteger(count) || count < 1) {
    throw new FarmError("usage", `cannot sample ${count} locations`, "a whole number of at least 1");
  }
  const { visit, transport } = kinds;
  if (!(visit >= 0 && transport >= 0 && Number.isFinite(visit + transport) && visit + transport > 0)) {
    throw new FarmError("usage", `kinds ${visit}:${transport} is no ratio`, "e.g. 2:1");
  }
  return withDatabase(databaseUrl, async (client) => {
    try {
      const info = await selectInfo(client);
      if (info === undefined) throw noMap();
      if (profile !== undefined) checkRules(info, profile);
      const random = randomOf(seed, Purpose.sampleLocations);
      const visits = Math.round((count * visit) / (visit + transport));
      // One snapshot for both passes over the tables, whatever an import does meanwhile.
      const locations = await inTransaction(
        client,
        async () => [
          ...(await sampleVisits(client, info.samples.visit, visits, random)),
          ...(await sampleTransport(
            client,
            info.samples.transport,
            count - visits,
            random,
            modesOf(profile),
          )),
        ],
        "ISOLATION LEVEL REPEATABLE READ READ ONLY",
      );
      return random.shuffle(locations);
    } catch (error) {
      if (isMissingTable(error))
        throw new FarmError("input", "the imported map is damaged", "pnpm farm:import again");
      throw error;
    }
  });
}

async function sampleVisits(
  client: pg.Client,
  rules: readonly number[],
  count: number,
  random: Random,
): Promise<Location[]> {
  if (count === 0) return [];
  const sources = [
    `SELECT DISTINCT ON (osm_type, osm_id) osm_type, osm_id, geom FROM farm.label ORDER BY osm_type, osm_id, key`,
    `SELECT DISTINCT ON (osm_type, osm_id) osm_type, osm_id, ST_Centroid(geom) AS geom FROM farm.feature
     WHERE rule IN (${rules.length > 0 ? rules.join(", ") : "NULL"}) ORDER BY osm_type, osm_id, rule`,
  ];
  const sizes: number[] = [];
  for (const source of sources) {
    const { rows } = await client.query(`SELECT count(*)::float8 AS n FROM (${source}) AS place`);
    sizes.push(rows[0]?.n ?? 0);
  }
  const [labels = 0, buildings = 0] = sizes;
  if (labels + buildings === 0) {
    throw new FarmError(
      "input",
      "the map has no building and no labelled place to visit",
      "--kinds 0:1, or another map",
    );
  }
  const draws = Array.from({ length: count }, () => {
    const half = random.uniform() < 0.5 ? 0 : 1;
    const source = sizes[half] === 0 ? 1 - half : half;
    const angle = 2 * Math.PI * random.uniform();
    const [near, far] = NOISE_M;
    const metres = Math.sqrt(near ** 2 + random.uniform() * (far ** 2 - near ** 2));
    return {
      source,
      at: random.int(sizes[source] as number),
      east: metres * Math.cos(angle),
      north: metres * Math.sin(angle),
    };
  });
  const places: Map<number, { lon: number; lat: number }>[] = [];
  for (const [at, source] of sources.entries()) {
    const wanted = [...new Set(draws.filter((draw) => draw.source === at).map((draw) => draw.at))];
    const { rows } = await client.query(
      `SELECT i::float8, ST_X(point) AS lon, ST_Y(point) AS lat FROM (
         SELECT i, ST_Transform(geom, 4326) AS point FROM (
           SELECT row_number() OVER (ORDER BY osm_type, osm_id) - 1 AS i, geom FROM (${source}) AS place
         ) AS numbered JOIN unnest($1::bigint[]) AS wanted (i) USING (i)
       ) AS chosen`,
      [wanted],
    );
    places.push(
      new Map(rows.map((row) => [row.i as number, { lon: row.lon as number, lat: row.lat as number }])),
    );
  }
  return draws.map(({ source, at, east, north }): Location => {
    const place = places[source]?.get(at);
    if (place === undefined) throw new FarmError("internal", `place ${at} vanished while sampling`);
    const lat = place.lat + north * DEGREES_PER_METRE;
    const lon = place.lon + (east * DEGREES_PER_METRE) / Math.cos((place.lat * Math.PI) / 180);
    return { lon: lon > 180 ? lon - 360 : lon < -180 ? lon + 360 : lon, lat, kind: "visit" };
  });
}

async function sampleTransport(
  client: pg.Client,
  rules: readonly number[],
  count: number,
  random: Random,
  modes: ReadonlyMap<number, string>,
): Promise<Location[]> {
  if (count === 0) return [];
  // Lengths on the ground: Web Mercator stretches by 1/cos(latitude).
  const lines = `SELECT DISTINCT ON (osm_type, osm_id) osm_type, osm_id, rule, geom,
      ST_Length(geom) * cos(radians(ST_Y(ST_Transform(ST_Centroid(geom), 4326)))) AS metres
    FROM farm.feature WHERE rule IN (${rules.length > 0 ? rules.join(", ") : "NULL"}) AND GeometryType(geom) = 'LINESTRING'
    ORDER BY osm_type, osm_id, rule`;
  const { rows } = await client.query<[number, number]>({
    text: `SELECT metres, rule FROM (${lines}) AS line ORDER BY osm_type, osm_id`,
    rowMode: "array",
  });
  const ends = new Float64Array(rows.length);
  let total = 0;
  for (const [at, [metres]] of rows.entries()) {
    total += metres;
    ends[at] = total;
  }
  if (!(total > 0)) {
    throw new FarmError(
      "input",
      "the map has no road and no rail to travel on",
      "--kinds 1:0, or another map",
    );
  }
  const draws = Array.from({ length: count }, () => {
    const metre = random.uniform() * total;
    const line = Math.min(firstAbove(ends, metre), ends.length - 1);
    const start = line === 0 ? 0 : (ends[line - 1] as number);
    const length = (ends[line] as number) - start;
    return { line, share: length > 0 ? Math.min(1, Math.max(0, (metre - start) / length)) : 0 };
  });
  const { rows: points } = await client.query(
    `SELECT ST_X(point) AS lon, ST_Y(point) AS lat FROM (
       SELECT n, ST_Transform(ST_LineInterpolatePoint(geom, share), 4326) AS point FROM (
         SELECT row_number() OVER (ORDER BY osm_type, osm_id) - 1 AS i, geom FROM (${lines}) AS line
       ) AS numbered
       JOIN unnest($1::bigint[], $2::float8[]) WITH ORDINALITY AS wanted (i, share, n) USING (i)
     ) AS chosen ORDER BY n`,
    [draws.map((draw) => draw.line), draws.map((draw) => draw.share)],
  );
  return points.map(({ lon, lat }, i): Location => {
    const label = modes.get((rows[(draws[i] as (typeof draws)[number]).line] as [number, number])[1]);
    return { lon, lat, kind: "transport", ...(label === undefined ? {} : { label }) };
  });
}

/** Modes of travel by the number of the rule. */
function modesOf(profile: Profile | undefined): ReadonlyMap<number, string> {
  const rules = profile?.channels.flatMap((channel) => channel.rules) ?? [];
  return new Map(rules.flatMap(({ index, mode }) => (mode === undefined ? [] : [[index, mode] as const])));
}

/** Index of the first element of an ascending array that is greater than `value`; the length when there is none. */
function firstAbove(ascending: Float64Array, value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
