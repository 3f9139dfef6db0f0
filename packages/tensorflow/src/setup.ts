import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { errorMessage, FarmError } from "@loc2vec/core";
import {
  bindingOf,
  boundPackage,
  depsOf,
  folderOf,
  NAPI_VERSION,
  otherPackage,
  type TfjsPackage,
  tfjsPackageOf,
} from "./tfjs.ts";
import { CUDA_LIBRARIES, CUDA_PACKAGES, WHEEL_PYTHON, type Wheel, wheelsFor } from "./wheels.ts";

const require = createRequire(import.meta.url);
const HEADERS = ["tensorflow/c/", "tensorflow/core/platform/", "xla/tsl/c/", "tsl/"];
const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
/** Source of what holds stderr back while TensorFlow is loaded. */
const STDERR_SOURCE = fileURLToPath(new URL("../native/stderr.cc", import.meta.url));
const STDERR_ADDON = "stderr.node";

export interface SetupOptions {
  /** Folder of caches: what is fetched goes to `<home>/cache/tensorflow`. */
  home: string;
  /** `cpu` and `gpu`: from PyPI's wheel. `official`: what tfjs-node itself downloads (TensorFlow 2.9, CPU). */
  variant: "cpu" | "gpu" | "official";
  log?: (line: string) => void;
}

export interface Setup {
  /** Whether nothing had to be done. */
  inPlace: boolean;
  /** Where TensorFlow comes from, e.g. `tensorflow-cpu 2.21.0`. */
  source: string;
}

interface Manifest {
  source: string;
  /** SHA-256 of the wheel. */
  wheel: string;
  /** SHA-256 of the binding's sources and how it was built. */
  recipe: string;
  /** SHA-256 of the built binding. */
  binding: string;
}

/** What lies beside TensorFlow's libraries as the setup has bound them; undefined where there is nothing of that name. */
export function besideLibraries(name: string): string | undefined {
  const bound = boundPackage();
  const path = bound && join(depsOf(bound), name);
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** What holds stderr back while TensorFlow is loaded; undefined where there is none: beside tfjs-node's own download. */
export const stderrAddonPath = (): string | undefined => besideLibraries(STDERR_ADDON);

/**
 * Binds tfjs-node, or for `gpu` tfjs-node-gpu, to a current TensorFlow: fetches PyPI's wheel (checksummed), takes out
 * libraries and C headers, builds the package's Node-API binding against them, and tries it with a real convolution gradient.
 * Cached: done again in milliseconds, and after `node_modules` was removed without any download.
 *
 * @throws FarmError `missing` when no wheel can be had or bound, naming each one's reason
 */
export async function setupTensorflow({ home, variant, log = () => {} }: SetupOptions): Promise<Setup> {
  if (variant === "official") return setupOfficial(log);
  const cache = join(home, "cache", "tensorflow");
  const wheels = process.platform === "linux" ? wheelsFor(variant, process.arch) : [];
  if (wheels.length === 0) {
    throw new FarmError(
      "missing",
      `TensorFlow (${variant}) has no wheel for ${process.platform} ${process.arch}`,
      "FARM_TENSORFLOW=cpu on Linux x64 or arm64, or FARM_TENSORFLOW=official",
    );
  }
  const tfjs = tfjsPackageOf(variant);
  const recipe = recipeHash(variant);
  const folders = wheels.map((wheel) =>
    join(cache, `${wheel.project}-${wheel.version}-${variant}-${process.arch}`),
  );
  for (const folder of folders) {
    const manifest = readManifest(folder, variant);
    if (manifest?.recipe !== recipe) continue;
    if (isLinked(tfjs, folder, manifest)) return { inPlace: true, source: manifest.source };
    await link(tfjs, folder);
    return { inPlace: false, source: manifest.source };
  }
  await mkdir(cache, { recursive: true });
  const reasons: string[] = [];
  for (const [at, wheel] of wheels.entries()) {
    const folder = folders[at] as string;
    const source = `${wheel.project} ${wheel.version}`;
    const work = await mkdtemp(join(cache, "setup-"));
    try {
      log(`${source}: fetching from PyPI`);
      const file = await fetchWheel(wheel, work);
      log(`${source}: taking out libraries and headers`);
      await unpack(file, work);
      await rm(file);
      if (variant === "gpu") {
        log(`${source}: fetching CUDA 12 libraries (some gigabytes)`);
        await fetchCuda(work);
      }
      log(`${source}: building the binding`);
      const binding = join(work, "tfjs_binding.node");
      await build(tfjs, work, binding);
      await rm(join(work, "include"), { recursive: true });
      const manifest: Manifest = {
        source,
        wheel: wheel.sha256,
        recipe,
        binding: sha256(readFileSync(binding)),
      };
      await writeFile(join(work, "manifest.json"), JSON.stringify(manifest, undefined, 2));
      await rm(folder, { recursive: true, force: true });
      await rename(work, folder);
      await link(tfjs, folder);
      log(`${source}: trying a convolution gradient`);
      await smoke();
      return { inPlace: false, source };
    } catch (error) {
      const reason = `${source}: ${errorMessage(error)}`;
      log(reason);
      reasons.push(reason);
      // A folder that did not pass must not be taken for one that did.
      await rm(join(folder, "manifest.json"), { force: true });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  throw new FarmError(
    "missing",
    `TensorFlow cannot be bound: ${reasons.join("; ")}`,
    "python3 with pip, g++ and a way to PyPI are needed (pip's usual settings for mirrors and proxies apply)",
  );
}

/** Runs the try of a convolution gradient in a process of its own: a binding that does not fit may end the process. */
export async function smoke(): Promise<void> {
  await run(process.execPath, [fileURLToPath(new URL("../dist/smoke.js", import.meta.url))]);
}

async function setupOfficial(log: (line: string) => void): Promise<Setup> {
  const tfjs = tfjsPackageOf("official");
  const folder = folderOf(tfjs);
  const source = "tfjs-node's own download (TensorFlow 2.9)";
  const stamp = join(folder, "lib/official");
  if (existsSync(stamp) && boundPackage() === tfjs) return { inPlace: true, source };
  log(`running the install script of tfjs-node`);
  for (const name of [tfjs, otherPackage(tfjs)]) await unlink(name);
  const preGyp = dirname(
    createRequire(join(folder, "package.json")).resolve("@mapbox/node-pre-gyp/package.json"),
  );
  const path = `${join(preGyp, "bin")}:${process.env.PATH}`;
  try {
    await run(process.execPath, ["scripts/install.js", "cpu", "download"], {
      cwd: folder,
      env: { ...process.env, PATH: path },
    });
    await smoke();
  } catch (error) {
    throw new FarmError(
      "missing",
      `${source}: ${errorMessage(error)}`,
      "FARM_TENSORFLOW=cpu takes TensorFlow from PyPI",
    );
  }
  await writeFile(stamp, "");
  return { inPlace: false, source };
}

async function fetchWheel(wheel: Wheel, folder: string): Promise<string> {
  const requirements = join(folder, "requirements.txt");
  await writeFile(requirements, `${wheel.project}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  await pip([
    ...["download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"],
    ...[
      "--python-version",
      WHEEL_PYTHON,
      "--implementation",
      "cp",
      "--abi",
      `cp${WHEEL_PYTHON.replace(".", "")}`,
    ],
    ...["--platform", wheel.platform, "--dest", folder, "--requirement", requirements],
  ]);
  const file = readdirSync(folder).find((name) => name.endsWith(".whl"));
  if (file === undefined) throw new Error("pip left no wheel");
  return join(folder, file);
}

const UNPACK = `
import shutil, sys, zipfile
wheel, folder, headers, libraries = sys.argv[1], sys.argv[2], sys.argv[3].split(","), sys.argv[4].split(",")
import os
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.endswith("/"): continue
        if name.startswith("tensorflow/include/") and name[19:].startswith(tuple(headers)): target = "include/" + name[19:]
        elif name.startswith("tensorflow/") and name[11:] in libraries: target = "lib/" + name[11:]
        else: continue
        path = os.path.join(folder, target)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(name) as source, open(path, "wb") as sink: shutil.copyfileobj(source, sink, 1 << 20)
`;

async function unpack(wheel: string, folder: string): Promise<void> {
  await run("python3", ["-c", UNPACK, wheel, folder, HEADERS.join(","), LIBRARIES.join(",")]);
  for (const library of LIBRARIES) {
    if (!existsSync(join(folder, "lib", library))) throw new Error(`the wheel does not carry ${library}`);
  }
}

async function fetchCuda(folder: string): Promise<void> {
  const site = join(folder, "site");
  await pip(["install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", site, ...CUDA_PACKAGES]);
  await cp(join(site, "nvidia"), join(folder, "nvidia"), { recursive: true });
  await rm(site, { recursive: true });
}

/** What g++ is told, but for folders. Part of the recipe: another command gives another binding. */
const FLAGS = [
  "-O2",
  "-std=c++17",
  "-fPIC",
  "-shared",
  `-DNAPI_VERSION=${NAPI_VERSION}`,
  "-DBUILDING_NODE_EXTENSION",
];

/** Node-API's headers come from npm: node-gyp would fetch them, and all of Node's, from nodejs.org. */
async function build(name: TfjsPackage, folder: string, output: string): Promise<void> {
  const tfjs = folderOf(name);
  const napi = join(dirname(require.resolve("node-api-headers/package.json")), "include");
  await run("g++", [...FLAGS, `-I${napi}`, STDERR_SOURCE, "-o", join(folder, STDERR_ADDON)]);
  const cuda = cudaFolders(folder);
  await run("g++", [
    ...FLAGS,
    ...[napi, join(folder, "include"), tfjs].map((include) => `-I${include}`),
    ...sources(tfjs).map((source) => join(tfjs, source)),
    ...[join(folder, "lib"), ...cuda.map((name) => join(folder, "nvidia", name, "lib"))].map(
      (path) => `-L${path}`,
    ),
    // TensorFlow opens CUDA's libraries by name: those that the binding has loaded are found.
    ...(cuda.length > 0 ? ["-Wl,--no-as-needed", ...CUDA_LIBRARIES.map((name) => `-l:${name}`)] : []),
    ...LIBRARIES.map((name) => `-l:${name}`),
    ...["lib", ...cuda.map((name) => `nvidia/${name}/lib`)].map(
      (path) => `-Wl,-rpath,$ORIGIN/../../deps/${path}`,
    ),
    "-o",
    output,
  ]);
}

function cudaFolders(folder: string): string[] {
  const nvidia = join(folder, "nvidia");
  return existsSync(nvidia)
    ? readdirSync(nvidia).filter((name) => existsSync(join(nvidia, name, "lib")))
    : [];
}

function sources(tfjs: string): string[] {
  return readdirSync(join(tfjs, "binding"))
    .filter((name) => name.endsWith(".cc"))
    .sort()
    .map((name) => `binding/${name}`);
}

function recipeHash(variant: SetupOptions["variant"]): string {
  const folder = join(folderOf(tfjsPackageOf(variant)), "binding");
  const hash = createHash("sha256").update(
    JSON.stringify([1, variant, FLAGS, variant === "gpu" ? CUDA_LIBRARIES : []]),
  );
  for (const name of readdirSync(folder).sort()) hash.update(readFileSync(join(folder, name)));
  hash.update(readFileSync(STDERR_SOURCE));
  return hash.digest("hex");
}

/** Lets a package find the libraries (`deps`) and the binding. The other package is bound no more. */
export async function link(name: TfjsPackage, folder: string): Promise<void> {
  for (const each of [name, otherPackage(name)]) await unlink(each);
  await symlink(folder, depsOf(name));
  await mkdir(dirname(bindingOf(name)), { recursive: true });
  await copyFile(join(folder, "tfjs_binding.node"), bindingOf(name));
}

async function unlink(name: TfjsPackage): Promise<void> {
  await rm(join(folderOf(name), "lib"), { recursive: true, force: true });
  await rm(depsOf(name), { recursive: true, force: true });
}

function isLinked(name: TfjsPackage, folder: string, manifest: Manifest): boolean {
  try {
    return (
      boundPackage() === name &&
      readlinkSync(depsOf(name)) === folder &&
      sha256(readFileSync(bindingOf(name))) === manifest.binding
    );
  } catch {
    return false;
  }
}

function readManifest(folder: string, variant: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Manifest;
    const whole = [...LIBRARIES.map((name) => `lib/${name}`), "tfjs_binding.node", STDERR_ADDON].every(
      (path) => existsSync(join(folder, path)),
    );
    const cuda = (variant === "gpu" ? CUDA_LIBRARIES : []).every((library) =>
      cudaFolders(folder).some((name) => existsSync(join(folder, "nvidia", name, "lib", library))),
    );
    return whole && cuda ? manifest : undefined;
  } catch {
    return undefined;
  }
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** What the setup has bound, e.g. `tensorflow-cpu 2.21.0`; undefined when nothing. */
export async function boundSource(): Promise<string | undefined> {
  if (existsSync(join(folderOf(tfjsPackageOf("official")), "lib/official")))
    return "tfjs-node's own download";
  const manifest = besideLibraries("manifest.json");
  return manifest && (JSON.parse(await readFile(manifest, "utf8")) as Manifest).source;
}

/** Whether what the setup has bound can use a GPU; known without loading it. */
export function bindsCuda(): boolean {
  return besideLibraries("nvidia") !== undefined;
}

async function pip(args: string[]): Promise<void> {
  const [verb = "", ...rest] = args;
  await run("python3", ["-m", "pip", verb, "--disable-pip-version-check", ...rest]);
}

/** @throws Error with the last line that looks like an error, or the last line */
async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-20_000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? new Error(`${command} is not installed`) : error;
  });
  if (code === 0) return;
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((text) => /error/i.test(text)) ?? lines.at(-1) ?? "";
  throw new Error(`${command} ended with ${code ?? "a signal"}: ${line.trim()}`);
}
