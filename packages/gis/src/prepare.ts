import { isUtf8 } from "node:buffer";
import { spawn } from "node:child_process";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { FarmError } from "@loc2vec/core";
import { type BlobCompression, type OsmFile, type OsmFormat, quoted, unpackZstdBlobs } from "./osmfile.ts";
import { unpack } from "./packing.ts";
import { readXml, type XmlSeen } from "./xml.ts";

export interface PrepareOptions {
  path: string;
  file: OsmFile;
  /** For what is made of the map; its caller takes it away. */
  folder: string;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
}

export interface PreparedMap {
  path: string;
  format: OsmFormat;
  /** Bytes. */
  size: number;
}

type Source = () => AsyncIterable<Buffer>;
/** Runs osmium; resolves to what it prints. */
type Run = (args: readonly string[], source?: Source) => Promise<string>;

/** Later than any object's: what was not deleted until then is the map. */
const LATEST = "2100-01-01T00:00:00Z";

/**
 * Makes of a map what osm2pgsql reads: sorted objects, each once, of positive ids, and nodes for all ways. What is so
 * already, is left as it is; the rest is made with osmium, and a line says what was done.
 *
 * @throws FarmError `input` where the map cannot be made so, or holds nothing; `missing` (osmium, bzip2); `interrupted`
 */
export async function prepareMap({ path, file, folder, log, signal }: PrepareOptions): Promise<PreparedMap> {
  const say = (what: string): void => log(`${path}: ${what}`);
  const run = (args: readonly string[], source?: Source): Promise<string> =>
    osmium(path, args, signal, source);
  const input = (): string[] => [`--input-format=${map.format}`, map.path];
  let map: { path: string; format: OsmFormat } = { path, format: file.format };
  let steps = 0;
  const make = async (args: string[], format: "pbf" | "osh.pbf", source?: Source): Promise<void> => {
    const made = join(folder, `${++steps}.osm.pbf`);
    await run([...args, `--output-format=${format}`, `--output=${made}`], source);
    if (map.path !== path) await rm(map.path);
    map = { path: made, format: "pbf" };
  };

  for (const compression of ["lzma", "bzip2"] as const) {
    if (file.blobs.has(compression)) throw unreadable(path, compression);
  }
  if (file.packing !== undefined) say(`packed with ${file.packing}; it is unpacked first`);
  const unpacked = (): AsyncIterable<Buffer> => unpack(path, file.packing);
  const seen: XmlSeen = { deleted: 0, invisible: false, located: false };
  // Only the format of histories keeps the versions that are deleted.
  const fromXml = (xml: Source, reading: string): Promise<void> =>
    make(["cat", "--input-format=xml", "-"], "osh.pbf", () => readXml(path, xml(), seen, reading));
  let history: boolean;
  if (file.format === "xml") {
    await fromXml(unpacked, `${file.packing === undefined ? "cat" : `${file.packing} -dc`} ${quoted(path)}`);
    history = seen.invisible;
  } else {
    const source =
      file.packing !== undefined
        ? unpacked
        : file.blobs.has("zstd")
          ? () => unpackZstdBlobs(path)
          : undefined;
    const first = source === undefined ? input() : [`--input-format=${file.format}`, "-"];
    const header = await headerOf(run, first, source);
    // OPL has no header: it may hold versions that are deleted.
    history = header.history || file.format === "opl";
    const foreign = (["lz4", "zstd"] as const).filter((compression) => file.blobs.has(compression));
    if (foreign.length > 0) {
      say(
        `its blobs are compressed with ${foreign.join(" and ")}, which osm2pgsql does not read; they are written anew`,
      );
    }
    if (header.located) {
      const printed = ["cat", ...first, "--output-format=xml,locations_on_ways=true"];
      await fromXml(() => print(path, printed, signal, source), xmlOf(path, file.format));
    } else if (source !== undefined || foreign.length > 0) {
      await make(["cat", ...first], history ? "osh.pbf" : "pbf", source);
    }
  }
  if (seen.deleted > 0) say(`${seen.deleted} objects that JOSM was told to delete are left out`);
  if (seen.located) say("locations lie on its ways; nodes are made of them");
  let facts = await look(run, input());
  if (!facts.placed) {
    const empty = facts.objects === 0;
    throw new FarmError(
      "input",
      `${path}: the map ${empty ? "is empty: no node, no way, no relation" : "holds no nodes with coordinates, of which its ways consist"}`,
      empty ? "see to the query or the extract that made it" : withNodes(path),
    );
  }
  if (!facts.ordered && !seen.located) say("its objects are not sorted by type and id; osmium sorts them");
  if (!facts.ordered || facts.versions) {
    await make(["sort", "--strategy=multipass", ...input()], history ? "osh.pbf" : "pbf");
    facts = await look(run, input());
  }
  if (facts.versions || history) {
    if (history && file.format !== "opl")
      say("a history; the latest version of what was not deleted is imported");
    else if (!seen.located && facts.versions)
      say("objects are there more than once; the latest version of each is imported");
    await make(["time-filter", ...input(), LATEST], "pbf");
  }
  if (!facts.positive) {
    say("ids are not positive (JOSM gives such to new objects); osmium gives all objects new ones");
    await make(["renumber", ...input()], "pbf");
  }
  return { ...map, size: (await stat(map.path)).size };
}

function unreadable(path: string, compression: BlobCompression): FarmError {
  return new FarmError(
    "input",
    `${path}: its blobs are compressed with ${compression}, which osm2pgsql and osmium do not read`,
    "have it written with zlib, as osmium and osmosis do",
  );
}

/** The command that prints a map as XML. */
export function xmlOf(path: string, format: OsmFormat): string {
  return `osmium cat -F ${format} ${quoted(path)} -f osm`;
}

/** How to get a map's nodes into it. */
export function withNodes(path: string): string {
  return `take them from the map that it was cut from: osmium getid -r -I ${quoted(path)} WHOLE.osm.pbf -o mended.osm.pbf; Overpass gives them by (._;>;); out;`;
}

/** What a map's header says of it. */
async function headerOf(run: Run, input: readonly string[], source: Source | undefined) {
  const { header } = JSON.parse(await run(["fileinfo", "--json", ...input], source));
  const features = Object.entries(header.option).filter(([name]) => name.startsWith("pbf_optional_feature"));
  return {
    history: header.with_history as boolean,
    /** Locations lie on its ways. */
    located: features.some(([, feature]) => feature === "LocationsOnWays"),
  };
}

const TYPES = ["nodes", "ways", "relations"] as const;

interface Facts {
  objects: number;
  /** There are nodes with coordinates. */
  placed: boolean;
  ordered: boolean;
  /** An object is there more than once; unknown until they are ordered. */
  versions: boolean;
  /** All ids are. */
  positive: boolean;
}

/** Reads a map through, for headers promise more than is true. */
async function look(run: Run, input: readonly string[]): Promise<Facts> {
  const total = async (of: string): Promise<number> =>
    Number(await run(["fileinfo", "--extended", `--get=data.count.${of}`, ...input]));
  let printed: string;
  try {
    printed = await run(["fileinfo", "--extended", "--json", ...input]);
  } catch (error) {
    // What osmium 1.15 says where there is no node to make a box about.
    if (!(error instanceof FarmError && /Invalid location/.test(error.message))) throw error;
    let objects = 0;
    for (const type of TYPES) objects += await total(type);
    return { objects, placed: false, ordered: true, versions: false, positive: true };
  }
  const { count, minid, ...data } = JSON.parse(printed).data;
  return {
    objects: count.nodes + count.ways + count.relations,
    placed: Array.isArray(data.bbox),
    ordered: data.objects_ordered,
    versions: data.multiple_versions === true,
    positive: TYPES.every((type) => count[type] === 0 || minid[type] > 0),
  };
}

interface Running {
  stdin: Writable;
  stdout: Readable;
  /** @throws FarmError `missing`; `input` where osmium fails; `interrupted` */
  ended: Promise<void>;
  kill(): void;
}

/** What mends what osmium says. */
const MENDS: readonly [what: RegExp, mend: (path: string) => string][] = [
  [/No space left/i, () => "make room, or name a larger folder for temporary files: TMPDIR"],
  [/feature not supported/i, () => "have it written without that"],
  [/blobs not supported/i, () => "have it written with zlib, as osmium and osmosis do"],
  [/entities are not supported/i, (path) => `xmllint --noent ${quoted(path)} > mended.osm`],
];

function start(path: string, args: readonly string[], signal: AbortSignal | undefined): Running {
  const child = spawn("osmium", args, signal ? { signal } : {});
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-10_000);
  });
  const ended = new Promise<void>((done, fail) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (signal?.aborted) fail(new FarmError("interrupted", `import of ${path} stopped`, "run it again"));
      else if (error.code !== "ENOENT") fail(error);
      else fail(new FarmError("missing", "osmium is not installed", "apt-get install osmium-tool"));
    });
    child.once("close", (code) => {
      const why = said.trim().split("\n").at(-1) || `osmium ended with code ${code ?? "none (killed)"}`;
      const mend = MENDS.find(([what]) => what.test(why))?.[1](path) ?? "fetch the file again";
      if (code === 0) done();
      else fail(new FarmError("input", `${path}: ${why}`, mend));
    });
  });
  ended.catch(() => {});
  return { stdin: child.stdin, stdout: child.stdout, ended, kill: () => child.kill() };
}

/**
 * Runs osmium; resolves to what it prints.
 *
 * @param path path of the map, for errors
 * @param source what it reads from standard input
 */
async function osmium(
  path: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
  source?: Source,
): Promise<string> {
  const printed: Buffer[] = [];
  for await (const chunk of print(path, args, signal, source)) printed.push(chunk);
  return Buffer.concat(printed).toString("utf8");
}

/** What osmium prints, as it prints it: see {@link osmium}. */
async function* print(
  path: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
  source?: Source,
): AsyncGenerator<Buffer> {
  const child = start(path, args, signal);
  if (source === undefined) child.stdin.end();
  let wrong: unknown;
  const fed =
    source &&
    pipeline(source(), child.stdin).catch((error: unknown) => {
      // Where osmium ends before its input does, it has read enough, or says why.
      if (["EPIPE", "ERR_STREAM_PREMATURE_CLOSE"].includes(String((error as NodeJS.ErrnoException).code)))
        return;
      wrong = error;
      child.kill();
    });
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    await fed;
    await child.ended.catch((error: unknown) => {
      throw signal?.aborted ? error : (wrong ?? error);
    });
  } finally {
    child.kill();
  }
}

/**
 * The first object of a map, e.g. `node 9`, that has a tag which is no UTF-8; undefined where there is none.
 *
 * @param map as {@link prepareMap} made it
 */
export async function findNotUtf8(
  { path, format }: PreparedMap,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const args = ["cat", `--input-format=${format}`, path, "--output-format=xml"];
  let object = "";
  let line: Buffer = Buffer.alloc(0);
  for await (const chunk of print(path, args, signal)) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      line = Buffer.concat([line, chunk.subarray(from, end)]);
      from = end + 1;
      const named = /^ *<(node|way|relation) id="(-?\d+)"/.exec(line.toString("latin1", 0, 60));
      if (named !== null) object = `${named[1]} ${named[2]}`;
      if (!isUtf8(line)) return object;
      line = Buffer.alloc(0);
    }
    line = Buffer.concat([line, chunk.subarray(from)]);
  }
  return undefined;
}
