import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FarmError } from "@loc2vec/core";
import {
  serverOf,
  sessionSettings,
  sharesConnections,
  sqlState,
  withCancel,
  withDatabase,
} from "@loc2vec/postgres";

import { checkOsmFile, sha256File } from "../osmfile.ts";
import { prepareMap } from "../prepare.ts";
import type { Profile } from "../profile.ts";
import { finish } from "./finish.ts";
import { type ImportInfo, selectInfo } from "./info.ts";
import { runOsm2pgsql } from "./osm2pgsql.ts";
import { checkRights, createPostgis, liftLimits, settingsOfSession, withLock } from "./rights.ts";
import { STAGING } from "./schemas.ts";

export interface ImportOptions {
  /** A file that {@link checkOsmFile} knows. */
  pbf: string;
  databaseUrl: string;
  profile: Profile;
  /** Imports even what is imported already. */
  force?: boolean;
  log?: (line: string) => void;
  /** Stops it wherever it is; the previous import stays. */
  signal?: AbortSignal;
}

/**
 * Imports a map with osm2pgsql: into a schema of its own first, which replaces `farm` in one transaction, so that a
 * failed or stopped import leaves the previous one usable. Returns at once when the same file is already imported with
 * the same matching rules.
 *
 * @throws FarmError `input` (file missing, corrupt, of another kind, or without a feature), `missing` (osm2pgsql, osmium,
 *   bzip2 or PostGIS), `service`, `interrupted`
 */
export async function importPbf({
  pbf,
  databaseUrl,
  profile,
  force = false,
  log = () => {},
  signal,
}: ImportOptions): Promise<ImportInfo> {
  const path = resolve(pbf);
  const file = await checkOsmFile(path);
  const sha256 = await sha256File(path);
  return withDatabase(databaseUrl, async (client) => {
    const before = await selectInfo(client).catch((error: unknown) => {
      // Who may not even read what is there learns below what an import takes.
      if (sqlState(error) === "42501") return undefined;
      throw error;
    });
    if (!force && before?.sha256 === sha256 && before.importHash === profile.importHash) {
      log(`${before.pbf}: already imported at ${before.importedAt}`);
      return before;
    }
    await checkRights(client, databaseUrl);
    if (await sharesConnections(client, databaseUrl)) {
      throw new FarmError(
        "postgres",
        `PostgreSQL at ${serverOf(databaseUrl)}: a pooler lends its connections by the transaction, and osm2pgsql needs sessions`,
        "import with a FARM_DATABASE_URL that names PostgreSQL itself, or a pooler in session mode",
      );
    }
    return withLock(databaseUrl, async (lock) => {
      const folder = await mkdtemp(join(tmpdir(), "loc2vec-import-"));
      try {
        const map = await prepareMap({ path, file, folder, log, signal });
        await createPostgis(client, databaseUrl);
        await sessionSettings(client);
        await liftLimits(client, false);
        await client.query(`DROP SCHEMA IF EXISTS ${STAGING} CASCADE; CREATE SCHEMA ${STAGING}`);
        const settings = await settingsOfSession(client);
        const left = await runOsm2pgsql({
          path,
          file,
          map,
          folder,
          databaseUrl,
          settings,
          profile,
          log,
          signal,
        });
        const what = `import of ${path}`;
        return await withCancel(client, signal, what, () =>
          withCancel(lock, signal, what, () =>
            finish(client, { lock, path, file, sha256, profile, left, log }),
          ),
        );
      } catch (error) {
        await client.query(`ROLLBACK; DROP SCHEMA IF EXISTS ${STAGING} CASCADE`).catch(() => {});
        throw error;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  });
}
