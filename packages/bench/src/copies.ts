import { randomOf } from "@loc2vec/core";
import { withDatabase } from "@loc2vec/postgres";

/**
 * Makes a denser map of the imported one, for measurements: each feature `density` times, the copies up to 100 Web Mercator
 * metres away in each axis, by a seeded draw.
 */
export async function multiplyFeatures(databaseUrl: string, density: number, seed: number): Promise<void> {
  const random = randomOf(seed);
  const shift = (): number => Math.round(200 * random.uniform() - 100);
  await withDatabase(databaseUrl, async (client) => {
    for (let copy = 1; copy < density; copy++) {
      await client.query(
        `INSERT INTO farm.feature (osm_type, osm_id, rule, geom)
         SELECT osm_type, osm_id + $1::bigint * 100000000000, rule, ST_Translate(geom, $2, $3)
         FROM farm.feature WHERE osm_id < 100000000000`,
        [copy, shift(), shift()],
      );
    }
    await client.query(`ANALYZE farm.feature`);
  });
}

/**
 * Copies every feature so often, all over the world: what a table as large as a planet's costs a query. Of benchmarks, in a
 * database of their own.
 */
export async function spreadFeatures(databaseUrl: string, copies: number): Promise<void> {
  const random = randomOf(copies);
  const far = (): number => Math.round(3.8e7 * (random.uniform() - 0.5));
  const shifts = Array.from({ length: copies - 1 }, () => [far(), far()] as const);
  await withDatabase(databaseUrl, async (client) => {
    // Built at the end, at once.
    await client.query(`DROP INDEX IF EXISTS farm.feature_geom_idx`);
    await client.query(
      `INSERT INTO farm.feature (osm_type, osm_id, rule, geom)
       SELECT osm_type, osm_id + n * 100000000000, rule, ST_Translate(geom, dx, dy)
       FROM unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS copy (dx, dy, n), farm.feature
       WHERE osm_id < 100000000000 ORDER BY n`,
      [shifts.map(([dx]) => dx), shifts.map(([, dy]) => dy)],
    );
    await client.query(`CREATE INDEX feature_geom_idx ON farm.feature USING gist (geom)`);
    await client.query(`VACUUM ANALYZE farm.feature`);
  });
}
