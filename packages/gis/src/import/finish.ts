import { basename } from "node:path";
import { FarmError } from "@loc2vec/core";
import type pg from "pg";
import { boxOfAreas, cutAtAntimeridian, mapAreas } from "../areas.ts";
import type { OsmFile } from "../osmfile.ts";
import { withNodes } from "../prepare.ts";
import type { Profile } from "../profile.ts";
import { assembleSea } from "../sea.ts";
import { type ImportInfo, selectInfo } from "./info.ts";
import type { LeftOut } from "./osm2pgsql.ts";
import { SCHEMA, STAGING } from "./schemas.ts";

/** What an import has come to before its schema is swapped in. */
export interface Outcome {
  /** The connection whose transaction holds the lock. */
  lock: pg.Client;
  path: string;
  file: OsmFile;
  sha256: string;
  profile: Profile;
  left: LeftOut;
  log: (line: string) => void;
}

/** Invalid objects that are named. */
const NAMED = 20;
/**
 * The largest share of ways and relations that may be bare. Of extracts that cut ways off at their border it is 3 % for a
 * city, and a quarter for a single block; of maps without the nodes of their ways it is nearly all.
 */
const MAX_BARE = 1 / 3;

/** @throws FarmError `input` where the map lacks what a large share of its objects consists of */
async function checkBare(client: pg.Client, path: string, { bare }: LeftOut): Promise<void> {
  if (bare === 0) return;
  const { rows } = await client.query(
    `SELECT count(*)::float8 AS drawn FROM (
       SELECT DISTINCT osm_type, osm_id FROM ${STAGING}.feature WHERE osm_type IN ('W', 'R')
     ) AS objects`,
  );
  const all = bare + rows[0].drawn;
  if (bare <= MAX_BARE * all) return;
  throw new FarmError(
    "input",
    `${path}: ${bare} of ${all} ways and relations have no geometry: the map does not hold the nodes that they consist of`,
    withNodes(path),
  );
}

/** Numbers of the rules whose features do not count to the map's area. */
function farReaching(profile: Profile): number[] {
  const rules = profile.channels.flatMap((channel) => channel.rules);
  return rules.filter((rule) => rule.geometry === "line" && rule.members).map((rule) => rule.index);
}

/** Removes what is invalid, counts, and swaps the staging schema in. */
export async function finish(
  client: pg.Client,
  { lock, path, file, sha256, profile, left, log }: Outcome,
): Promise<ImportInfo> {
  await checkBare(client, path, left);
  await cutAtAntimeridian(client, STAGING);
  const { rows: invalid } = await client.query(
    `DELETE FROM ${STAGING}.feature WHERE ST_IsEmpty(geom) OR NOT ST_IsValid(geom) RETURNING osm_type, osm_id`,
  );
  await mapAreas(client, STAGING, farReaching(profile));
  await assembleSea(client, STAGING, profile);
  const words: Record<string, string> = { N: "node", W: "way", R: "relation" };
  const all = new Set([...left.invalid, ...invalid.map((row) => `${words[row.osm_type]} ${row.osm_id}`)]);
  const { rows: counts } = await client.query(
    `SELECT rule, count(*)::float8 AS count FROM ${STAGING}.feature GROUP BY rule`,
  );
  const bbox = await boxOfAreas(client, STAGING);
  if (bbox === undefined) {
    throw new FarmError(
      "input",
      `${path}: no object of the map fits any rule of the profile`,
      "try another extract",
    );
  }
  const byRule = new Map(counts.map((row) => [row.rule as number, row.count as number]));
  const channels = Object.fromEntries(
    profile.channels.map((channel) => [
      channel.name,
      channel.rules.reduce((sum, rule) => sum + (byRule.get(rule.index) ?? 0), 0),
    ]),
  );
  const rules = profile.channels.flatMap((channel) => channel.rules);
  const sampled = (kind: string): number[] =>
    rules.filter((rule) => rule.sample === kind).map((rule) => rule.index);
  await client.query(`
    CREATE TABLE ${STAGING}.import_info (
      pbf text NOT NULL, sha256 text NOT NULL, size bigint NOT NULL, bbox float8[4] NOT NULL, profile text NOT NULL,
      import_hash text NOT NULL, channels jsonb NOT NULL, labels int NOT NULL, invalid int NOT NULL,
      samples jsonb NOT NULL, imported_at timestamptz NOT NULL DEFAULT now())`);
  await client.query(
    `INSERT INTO ${STAGING}.import_info (pbf, sha256, size, profile, import_hash, channels, invalid, samples, bbox, labels)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, count(*) FROM ${STAGING}.label`,
    [
      basename(path),
      sha256,
      file.size,
      profile.name,
      profile.importHash,
      JSON.stringify(channels),
      all.size,
      JSON.stringify({ visit: sampled("visit"), transport: sampled("transport") }),
      bbox,
    ],
  );
  await client.query(`DROP TABLE ${STAGING}.area; ANALYZE ${STAGING}.feature; ANALYZE ${STAGING}.label`);
  await keepGrants(client);
  // With the lock: nothing is replaced unless it was held throughout. A failure goes back to the savepoint and keeps it.
  await lock.query(
    `SAVEPOINT swap; DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; ALTER SCHEMA ${STAGING} RENAME TO ${SCHEMA}; COMMIT`,
  );
  const info = await selectInfo(client);
  if (info === undefined) throw new FarmError("internal", "the import left no import_info");
  if (all.size > 0) {
    const named = [...all].sort().slice(0, NAMED).join(", ");
    log(
      `${all.size} objects are left out, their geometry is invalid: ${named}${all.size > NAMED ? ", …" : ""}`,
    );
  }
  return info;
}

/** Who might read the previous import may read the new one. */
async function keepGrants(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `SELECT format('GRANT %s ON %s TO %s', acl.privilege_type, target,
       CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END) AS statement
     FROM (
       SELECT 'SCHEMA ${STAGING}' AS target, nspacl AS acl_items, nspowner AS owner FROM pg_namespace WHERE nspname = '${SCHEMA}'
       UNION ALL
       SELECT format('${STAGING}.%I', relname), relacl, relowner FROM pg_class
       WHERE relnamespace = to_regnamespace('${SCHEMA}') AND relname IN ('feature', 'label', 'import_info')
     ) AS object, aclexplode(acl_items) AS acl WHERE acl.grantee <> owner`,
  );
  for (const { statement } of rows) await client.query(statement);
}
