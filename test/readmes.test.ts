// Takes a quarter of a minute: the compiler checks every example of a README, and each one is run.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensureDatabase } from "@loc2vec/gis";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { farm } from "../packages/cli/test/farm.ts";
import { codeBlocks, ROOT } from "./support/documents.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
  }
}

const run = promisify(execFile);
const PACKAGES = join(ROOT, "packages");
const NAMES = (await readdir(PACKAGES, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();
/** Of a README: what fits on a screen. */
const LINES = 45;
/** What is written by code, and compared by a test of its own: `<!-- name --> … <!-- /name -->`. */
const GENERATED = /<!-- (\w+) -->[\s\S]*?<!-- \/\1 -->\n*/g;

const README = new Map<string, string>();
for (const name of NAMES) README.set(name, await readFile(join(PACKAGES, name, "README.md"), "utf8"));
const examplesOf = (name: string): string[] =>
  codeBlocks(README.get(name) ?? "")
    .filter(({ language }) => language === "ts")
    .map(({ code }) => code);
/** Beside the package's own build, where its imports are found, and nothing is committed. */
const folderOf = (name: string): string => join(PACKAGES, name, "dist/readme");

let home: string;
let settings: Record<string, string>;

/** A small data set and a model of it, both named `city`, which the examples work with. */
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "readmes-"));
  settings = {
    FARM_HOME: home,
    FARM_STORE: `file://${join(home, "store")}`,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: await ensureDatabase(inject("databaseUrl"), "readmes"),
    FARM_QUEUE_PREFIX: `readmes-${process.pid}`,
  };
  const small = ["--network", "small", "--batch-locations", "6", "--pairs", "3", "--min-distance", "0"];
  const split = ["--holdout", "0.4", "--cell", "100", "--border", "0"];
  for (const args of [
    ["import", join(ROOT, "examples/helsinki.osm.pbf")],
    ["enqueue", "--dataset", "city", "--sample", "90", "--positives", "5", "--shard-locations", "16"],
    ["work", "--until", "empty"],
    ["train", "--dataset", "city", "--model", "city", "--steps", "2", ...small, ...split],
    ["embed", "--dataset", "city", "--model", "city"],
  ]) {
    const { code, stderr } = await farm(args, settings);
    if (code !== 0) throw new Error(`farm ${args.join(" ")}: ${stderr}`);
  }
  for (const name of NAMES) {
    await mkdir(folderOf(name), { recursive: true });
    for (const [at, code] of examplesOf(name).entries())
      await writeFile(join(folderOf(name), `example-${at}.ts`), code);
  }
}, 180_000);
afterAll(async () => {
  for (const name of NAMES) await rm(folderOf(name), { recursive: true, force: true });
  await rm(home, { recursive: true, force: true });
});

test.each(NAMES)(
  "%s: the README is a screen long, says on what the package depends, and has an example",
  (name) => {
    const text = README.get(name) ?? "";
    const code = codeBlocks(text);
    expect(text.startsWith(`# @loc2vec/${name}\n`)).toBe(true);
    expect(text.replace(GENERATED, "").trimEnd().split("\n").length).toBeLessThanOrEqual(LINES);
    const { dependencies = {} } = JSON.parse(readFileSync(join(PACKAGES, name, "package.json"), "utf8"));
    const own = Object.keys(dependencies).flatMap((each) => /^@loc2vec\/(.*)$/.exec(each)?.[1] ?? []);
    const said = /^Depends on (?:all packages.*|no other package|(.+))\.$/m.exec(text);
    expect(said, "Depends on ….").not.toBeNull();
    if (said?.[0] === "Depends on no other package.") expect(own).toEqual([]);
    if (said?.[1] !== undefined) expect(said[1].split(", ").sort()).toEqual(own.sort());
    expect(code.some(({ language }) => language === "ts" || language === "")).toBe(true);
  },
);

test("every example fits the types of the packages", { timeout: 120_000 }, async () => {
  const config = join(home, "tsconfig.json");
  await writeFile(
    config,
    JSON.stringify({
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: {
        noEmit: true,
        composite: false,
        declaration: false,
        declarationMap: false,
        sourceMap: false,
        noUnusedLocals: true,
        typeRoots: [join(ROOT, "node_modules/@types")],
      },
      include: NAMES.map((name) => join(folderOf(name), "*.ts")),
    }),
  );
  const { stdout } = await run(join(ROOT, "node_modules/.bin/tsc"), ["-p", config, "--listFilesOnly"]);
  const files = stdout.split("\n").filter((file) => file.includes("/dist/readme/"));
  expect(files.length).toBe(NAMES.flatMap(examplesOf).length);
  const { stdout: problems } = await run(join(ROOT, "node_modules/.bin/tsc"), ["-p", config]).catch(
    (error: { stdout: string }) => error,
  );
  expect(problems).toBe("");
});

const EXAMPLES = NAMES.flatMap((name) => examplesOf(name).map((code, at) => [name, at, code] as const));

test.concurrent.each(EXAMPLES)(
  "%s: example %i runs, and prints what it says",
  { timeout: 120_000 },
  async (name, at, code) => {
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("FARM_")));
    const { stdout } = await run(process.execPath, [join(folderOf(name), `example-${at}.ts`)], {
      cwd: ROOT,
      env: { ...env, ...settings },
    });
    // `// → text` promises a line with that text.
    const promised = [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text);
    expect(stdout.split("\n")).toEqual(expect.arrayContaining(promised));
  },
);
