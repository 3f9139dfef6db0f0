import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { errorMessage } from "@loc2vec/core";
import { canonicalJson } from "@loc2vec/numeric";
import { type Approximate, HNSW_SETTINGS, viewHnsw } from "./hnsw.ts";
import type { IndexTask } from "./index-thread.ts";
import { INDEXED_FROM, type Neighbours, scanNeighbours } from "./neighbours.ts";
import { openThreads } from "./threads.ts";
import type { Places } from "./vectors.ts";

const [INDEX, ABOUT] = ["index.usearch", "index.json"] as const;
/** What a process that was killed has left is removed when it is so old. */
const STALE_MS = 24 * 3600 * 1000;

export interface KeptNeighboursOptions {
  /** Where the rows lie; without it, `minDistanceM` cannot be asked for. */
  places?: Places;
  /** Where the index is kept for the next time, one in a folder. Without it the index goes with the process. */
  folder?: string | undefined;
  /** Rows from which on there is an index. Default: {@link INDEXED_FROM}. */
  indexedFrom?: number | undefined;
  log: (line: string) => void;
}

export interface KeptNeighbours extends Neighbours {
  /** Settles when they are found as they will be from then on: by the index, or by scans where there is to be none, or it failed. */
  readonly settled: Promise<void>;
  /** Stops building. */
  close(): Promise<void>;
}

/**
 * Makes vectors ready to be searched at once: by an index that is kept in the folder, where it is one of these vectors and
 * whole; else by scans, while a thread builds the index and keeps it. A kept one that is damaged, or of other vectors or
 * settings, is built anew, and a line says why.
 *
 * @param vectors float32 [n, size], C order; not copied, so they must stay as they are
 */
export async function openKeptNeighbours(
  vectors: Float32Array,
  size: number,
  { places, folder, indexedFrom = INDEXED_FROM, log }: KeptNeighboursOptions,
): Promise<KeptNeighbours> {
  const neighbours = scanNeighbours(vectors, size, places);
  const { rows } = neighbours;
  const done = { settled: Promise.resolve(), close: async () => {} };
  if (rows < indexedFrom) return extend(neighbours, done);
  const about = aboutOf(vectors, rows, size);
  if (folder !== undefined) {
    const kept = await openKept(folder, about);
    if (typeof kept === "function") {
      neighbours.useIndex(kept);
      log(`neighbours: the index of ${rows} vectors is that in ${folder}`);
      return extend(neighbours, done);
    }
    if (kept !== undefined) log(`neighbours: the index in ${folder} ${kept}: it is built again`);
  }
  log(`neighbours: ${rows} vectors are being indexed; until that is done all are looked at`);
  const building = startBuilding(vectors, about, folder);
  const started = performance.now();
  const settled = building.index.then(
    (index) => {
      if (index === undefined) return;
      neighbours.useIndex(index);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      log(`neighbours: indexed in ${seconds} s${folder === undefined ? "" : `, kept in ${folder}`}`);
    },
    (error: unknown) => log(`neighbours: no index, all vectors are looked at: ${errorMessage(error)}`),
  );
  return extend(neighbours, {
    settled,
    async close() {
      await building.stop();
      await settled;
    },
  });
}

/** With what changes later still changing. */
const extend = (neighbours: Neighbours, more: Pick<KeptNeighbours, "settled" | "close">): KeptNeighbours =>
  Object.defineProperties(more, Object.getOwnPropertyDescriptors(neighbours)) as KeptNeighbours;

/** What an index must be of to be taken. */
interface About {
  vectorsSha256: string;
  rows: number;
  size: number;
  settings: typeof HNSW_SETTINGS;
}

const aboutOf = (vectors: Float32Array, rows: number, size: number): About => ({
  vectorsSha256: createHash("sha256")
    .update(new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength))
    .digest("hex"),
  ...{ rows, size, settings: HNSW_SETTINGS },
});

/** The index in a folder; in words what is wrong with it; undefined where there is none. */
async function openKept(folder: string, about: About): Promise<Approximate | string | undefined> {
  try {
    const text = await readFile(join(folder, ABOUT), "utf8").catch(undefinedIfAbsent);
    if (text === undefined) return undefined;
    const { fileSha256, ...kept } = JSON.parse(text) as About & { fileSha256: string };
    if (canonicalJson(kept.settings) !== canonicalJson(about.settings))
      return "was built with other settings";
    if (canonicalJson(kept) !== canonicalJson(about)) return "is of other vectors";
    const path = join(folder, INDEX);
    const seen = await sha256Of(path).catch(undefinedIfAbsent);
    if (seen === undefined) return "lacks its file";
    if (seen !== fileSha256) return "is damaged";
    return await viewHnsw(path, about.rows, about.size);
  } catch (error) {
    return `cannot be read (${errorMessage(error)})`;
  }
}

/** @returns the index to come, undefined where it was stopped */
function startBuilding(
  vectors: Float32Array,
  about: About,
  folder: string | undefined,
): { index: Promise<Approximate | undefined>; stop: () => Promise<void> } {
  const threads = openThreads<IndexTask>("index-thread", 1);
  let stopped = (): void => {};
  const stopping = new Promise<"stopped">((resolve) => {
    stopped = () => resolve("stopped");
  });
  const build = async (): Promise<Approximate | undefined> => {
    const home = folder ?? (await mkdtemp(join(tmpdir(), "loc2vec-index-")));
    const path = join(home, `.${INDEX}.${randomUUID().slice(0, 8)}`);
    try {
      await mkdir(home, { recursive: true });
      await removeStale(home);
      const task = { vectors, size: about.size, path };
      if ((await Promise.race([threads.run([task]), stopping])) === "stopped") return undefined;
      const index = await viewHnsw(path, about.rows, about.size);
      if (folder !== undefined) await keep(folder, path, about);
      return index;
    } finally {
      await threads.close();
      await rm(folder === undefined ? home : path, { recursive: true, force: true });
    }
  };
  return {
    index: build(),
    async stop() {
      stopped();
      await threads.close();
    },
  };
}

/**
 * Puts a file in the place of the index that is there. Its description comes last, and has the file's digest: of two processes
 * that do so at once, one's file is never taken by the other's description.
 */
async function keep(folder: string, path: string, about: About): Promise<void> {
  const fileSha256 = await sha256Of(path);
  await rm(join(folder, ABOUT), { force: true });
  await rename(path, join(folder, INDEX));
  const described = join(folder, `.${ABOUT}.${randomUUID().slice(0, 8)}`);
  await writeFile(described, `${JSON.stringify({ ...about, fileSha256 })}\n`, { flush: true });
  await rename(described, join(folder, ABOUT));
}

async function removeStale(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((each) => each.startsWith("."))) {
    const info = await stat(join(folder, name)).catch(undefinedIfAbsent);
    if (info !== undefined && Date.now() - info.mtimeMs > STALE_MS)
      await rm(join(folder, name), { force: true });
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

function undefinedIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
