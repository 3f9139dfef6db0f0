import { type Box, FarmError } from "@loc2vec/core";
import { inTransaction, withDatabase } from "@loc2vec/postgres";
import type pg from "pg";
import { isMissingTable } from "../database.ts";
import type { Profile } from "../profile.ts";
import { SCHEMA } from "./schemas.ts";

/** What the imported map is: the single row of `farm.import_info`. */
export interface ImportInfo {
  /** Name of the file, without its folder. */
  pbf: string;
  /** SHA-256 of the file, hex. */
  sha256: string;
  /** Size of the file, bytes. */
  size: number;
  /** Box around the imported features, degrees, WGS 84: west, south, east, north. */
  bbox: Box;
  profile: string;
  importHash: string;
  /** Rows of `farm.feature` per channel name. */
  channels: Readonly<Record<string, number>>;
  /** Rows of `farm.label`. */
  labels: number;
  /** Objects left out for want of a valid geometry: rings that cross themselves, or parts that the extract cuts off. */
  invalid: number;
  /** Rules whose features locations are sampled from. */
  samples: { readonly visit: readonly number[]; readonly transport: readonly number[] };
  /** ISO 8601, UTC. */
  importedAt: string;
}

/** The import in a database; undefined when there is none. @throws FarmError `service` */
export async function readImportInfo(databaseUrl: string): Promise<ImportInfo | undefined> {
  return withDatabase(databaseUrl, selectInfo);
}

export function noMap(cause?: unknown): FarmError {
  return new FarmError("map-missing", "no map is imported", "pnpm farm:import FILE.osm.pbf", { cause });
}

/**
 * The import in a database, which must be one by the rules of this profile.
 *
 * @throws FarmError `input` when there is none, or one by other rules; `service`
 */
export async function requireImport(databaseUrl: string, profile: Profile): Promise<ImportInfo> {
  const map = await readImportInfo(databaseUrl);
  if (map === undefined) throw noMap();
  checkRules(map, profile);
  return map;
}

/** @throws FarmError `map-missing` where a map was imported by other rules than those of the profile */
export function checkRules({ importHash, pbf }: ImportInfo, profile: Profile): void {
  if (importHash === profile.importHash) return;
  throw new FarmError(
    "map-missing",
    `the map ${pbf} was imported with other rules than those of the profile ${profile.name}`,
    "pnpm farm:import it again",
  );
}

export async function selectInfo(client: pg.Client): Promise<ImportInfo | undefined> {
  const result = await inTransaction(client, () =>
    client.query(
      `SELECT pbf, sha256, size::float8, bbox, profile, import_hash, channels, labels, invalid, samples, imported_at
       FROM ${SCHEMA}.import_info`,
    ),
  ).catch((error: unknown) => {
    if (isMissingTable(error)) return undefined;
    throw error;
  });
  const row = result?.rows[0];
  if (row === undefined) return undefined;
  const { import_hash: importHash, imported_at: at, ...rest } = row;
  return { ...rest, importHash, importedAt: (at as Date).toISOString() };
}
