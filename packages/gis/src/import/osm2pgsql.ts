import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { FarmError } from "@loc2vec/core";
import { libpqDatabase, libpqEnvironment, postgresProblem } from "@loc2vec/postgres";
import type { OsmFile } from "../osmfile.ts";
import { findNotUtf8, type PreparedMap, xmlOf } from "../prepare.ts";
import type { Profile } from "../profile.ts";
import { flexStyle } from "../style.ts";
import { notUtf8 } from "../xml.ts";
import { STAGING } from "./schemas.ts";

/** Above this size osm2pgsql keeps its nodes on disk rather than in memory. */
const SLIM_BYTES = 1024 ** 3;

export interface Osm2pgsqlOptions {
  databaseUrl: string;
  profile: Profile;
  /** What was given, and what is read. */
  path: string;
  file: OsmFile;
  map: PreparedMap;
  /** For temporary files. */
  folder: string;
  /** PostgreSQL's settings for osm2pgsql's sessions. */
  settings: Readonly<Record<string, string>>;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
}

/** Objects that osm2pgsql found no geometry for, e.g. `relation 42`. */
export interface LeftOut {
  /** All. */
  invalid: Set<string>;
  /** Among these, ways whose nodes and relations whose ways the map does not hold. */
  bare: number;
}

/** Runs osm2pgsql into the staging schema. */
export async function runOsm2pgsql({
  path,
  file,
  map,
  folder,
  databaseUrl,
  settings,
  profile,
  log,
  signal,
}: Osm2pgsqlOptions): Promise<LeftOut> {
  const style = join(folder, "style.lua");
  await writeFile(style, flexStyle(profile, STAGING));
  const slim =
    map.size > SLIM_BYTES
      ? ["--slim", "--drop", `--middle-schema=${STAGING}`, `--flat-nodes=${join(folder, "nodes")}`]
      : [];
  const args = ["--create", "--output=flex", "--style", style, "--log-progress=false"];
  const database = libpqDatabase(databaseUrl);
  if (database !== undefined) args.push(`--database=${database}`);
  args.push(`--input-reader=${map.format}`, ...slim, map.path);
  const child = spawn("osm2pgsql", args, {
    env: { ...libpqEnvironment(databaseUrl, settings), LC_ALL: "C.UTF-8" },
    stdio: ["ignore", "pipe", "pipe"],
    ...(signal ? { signal } : {}),
  });
  const left: LeftOut = { invalid: new Set(), bare: 0 };
  const errors: string[] = [];
  const onLine = (line: string): void => {
    const [, kind, object] = /^loc2vec-(invalid|bare) (.*)$/.exec(line) ?? [];
    if (object !== undefined) {
      left.invalid.add(object);
      if (kind === "bare") left.bare++;
    } else if (/\bERROR:/.test(line)) errors.push(line.replace(/^.*?ERROR:\s*/, ""));
    else if (line.trim() !== "") log(line.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*/, ""));
  };
  createInterface(child.stdout).on("line", onLine);
  createInterface(child.stderr).on("line", onLine);
  const code = await new Promise<number | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", done);
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      throw new FarmError("missing", "osm2pgsql is not installed", "apt-get install osm2pgsql");
    }
    if (signal?.aborted) throw new FarmError("interrupted", `import of ${path} stopped`, "run it again");
    throw error;
  });
  if (code !== 0) {
    const why = errors[0] ?? `osm2pgsql ended with code ${code ?? "none (killed)"}`;
    if (/invalid byte sequence|UTF-?8/i.test(why)) {
      const object = await findNotUtf8(map, signal);
      if (object !== undefined) throw notUtf8(path, object, xmlOf(path, file.format));
    }
    throw (
      postgresProblem(why, databaseUrl) ?? new FarmError("input", `${path}: ${why}`, "fetch the file again")
    );
  }
  return left;
}
