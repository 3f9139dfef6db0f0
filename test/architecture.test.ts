import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { UNIT_TESTS } from "./unit-tests.ts";

const PACKAGES = resolve(import.meta.dirname, "../packages");

/** Each line may depend on the lines above it, and on what is named; nothing else may depend on anything. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  numeric: [],
  core: [],
  postgres: ["core"],
  services: ["core", "postgres"],
  http: ["core"],
  gis: ["core", "numeric", "postgres"],
  shards: ["core", "numeric"],
  space: ["core", "numeric"],
  venues: ["core", "numeric"],
  queue: ["core"],
  tensorflow: ["core"],
  rasterizer: ["core", "gis", "postgres"],
  encoder: ["core", "tensorflow"],
  insight: ["core", "encoder", "tensorflow"],
  producer: ["core", "queue", "shards"],
  worker: ["core", "queue", "shards"],
  board: ["core", "http", "queue"],
  trainer: ["core", "encoder", "numeric", "shards", "tensorflow"],
  evaluation: ["core", "encoder", "numeric", "shards", "tensorflow", "trainer"],
  atlas: [
    ...[
      "core",
      "encoder",
      "evaluation",
      "gis",
      "insight",
      "numeric",
      "shards",
      "space",
      "tensorflow",
      "trainer",
    ],
  ],
  probe: ["atlas", "core", "evaluation", "numeric", "shards", "space"],
  exports: ["atlas", "core", "postgres", "shards", "space"],
  explorer: ["atlas", "core", "gis", "shards", "space", "trainer"],
  server: [
    ...["atlas", "core", "encoder", "evaluation", "explorer", "exports", "gis", "http", "probe"],
    ...["rasterizer", "shards", "space", "trainer", "venues"],
  ],
  farm: [
    ...["atlas", "core", "encoder", "evaluation", "explorer", "exports", "gis", "probe", "producer", "queue"],
    ...["rasterizer", "server", "services", "shards", "tensorflow", "trainer", "venues", "worker"],
  ],
  cli: [
    ...["core", "services", "gis", "shards", "queue", "tensorflow", "rasterizer", "encoder", "producer"],
    ...[
      "worker",
      "trainer",
      "atlas",
      "board",
      "evaluation",
      "explorer",
      "exports",
      "farm",
      "probe",
      "venues",
    ],
  ],
  bench: [
    ...["core", "postgres", "services", "gis", "shards", "queue", "tensorflow", "rasterizer", "encoder"],
    ...["worker", "trainer", "atlas", "farm", "cli", "numeric", "space", "venues"],
  ],
};

const json = (path: string): Record<string, Record<string, string>> => JSON.parse(readFileSync(path, "utf8"));

test("every package is on the map, and the map has no circle", () => {
  const names = readdirSync(PACKAGES).filter((name) =>
    readdirSync(join(PACKAGES, name)).includes("package.json"),
  );
  expect(names.sort()).toEqual(Object.keys(ARROWS).sort());
  const order = Object.keys(ARROWS);
  for (const [name, uses] of Object.entries(ARROWS)) {
    for (const used of uses)
      expect(order.indexOf(used), `${name} → ${used}`).toBeLessThan(order.indexOf(name));
  }
});

test.each(Object.keys(ARROWS))(
  "%s depends on what its arrows say, imports what it declares, and reaches into no other package",
  (name) => {
    const manifest = json(join(PACKAGES, name, "package.json"));
    const declared = Object.keys(manifest.dependencies ?? {});
    const own = declared
      .filter((each) => each.startsWith("@loc2vec/"))
      .map((each) => each.slice("@loc2vec/".length));
    expect(own.sort()).toEqual([...(ARROWS[name] as string[])].sort());
    const files = readdirSync(join(PACKAGES, name, "src"), { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".ts"),
    );
    for (const file of files) {
      const text = readFileSync(join(PACKAGES, name, "src", file), "utf8");
      for (const [, specifier = ""] of text.matchAll(/from "([^"]+)"/g)) {
        if (specifier.startsWith("node:")) continue;
        if (specifier.startsWith(".")) {
          const target = resolve(PACKAGES, name, "src", file, "..", specifier);
          expect(target.startsWith(join(PACKAGES, name, "src")), `${name}/src/${file}: ${specifier}`).toBe(
            true,
          );
          continue;
        }
        const parts = specifier.split("/");
        const dependency = specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] as string);
        expect(declared, `${name}/src/${file}: ${specifier}`).toContain(dependency);
        if (dependency.startsWith("@loc2vec/")) expect(specifier).toBe(dependency);
      }
    }
  },
);

test.each(Object.keys(ARROWS))("no modules of %s import each other in a circle, not even types", (name) => {
  const folder = join(PACKAGES, name, "src");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const importsOf = new Map(
    files.map((file) => {
      const text = readFileSync(join(folder, file), "utf8");
      const specifiers = [...text.matchAll(/from "(\.[^"]+)"/g)].map(([, specifier = ""]) => specifier);
      return [file, specifiers.map((specifier) => relative(folder, resolve(folder, file, "..", specifier)))];
    }),
  );
  const circles: string[] = [];
  const settled = new Set<string>();
  const follow = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    else if (!settled.has(file)) {
      for (const imported of importsOf.get(file) ?? []) follow(imported, [...path, file]);
      settled.add(file);
    }
  };
  for (const file of files) follow(file, []);
  expect(circles).toEqual([]);
});

/** What only a test with services can have: their addresses, and what starts them. */
const SERVICES =
  /\binject\(|\bensureServices\b|"@loc2vec\/services"|support\/(?:moto|pgbouncer|standby|python)\.ts/;

/** A test and all of its own that it imports, and they import. */
function importedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(/from "(\.[^"]+\.ts)"/g)) {
    const target = resolve(file, "..", specifier);
    if (!target.includes("/src/")) importedBy(target, seen);
  }
  return seen;
}

test.each(UNIT_TESTS)("%s is there, and needs no service", (test) => {
  const file = resolve(PACKAGES, "..", test);
  const needy = [...importedBy(file)].filter(
    (each) => each !== import.meta.filename && SERVICES.test(readFileSync(each, "utf8")),
  );
  expect(needy).toEqual([]);
});

test.each(Object.keys(ARROWS))("%s has its unit tests run by its script `test`", (name) => {
  const { test: command } = json(join(PACKAGES, name, "package.json")).scripts ?? {};
  const has = UNIT_TESTS.some((file) => file.startsWith(`packages/${name}/`));
  const none = has ? "" : "--passWithNoTests ";
  expect(command).toBe(`vitest run --root ../.. --project unit ${none}packages/${name}/`);
});

test("settings are read in core's configuration alone, by set-up too", () => {
  const sources = [
    ...Object.keys(ARROWS).map((name) => join(PACKAGES, name, "src")),
    resolve(PACKAGES, "../infra"),
  ]
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
    )
    .filter((file) => /\.(?:ts|mjs)$/.test(file));
  expect(sources.length).toBeGreaterThan(100);
  const readers = sources.filter((file) => /\benv(?:\.|\[["'`])FARM_/.test(readFileSync(file, "utf8")));
  expect(readers).toEqual([]);
});

test("the README draws the same arrows", () => {
  const readme = readFileSync(resolve(PACKAGES, "../README.md"), "utf8");
  const drawn = [...readme.matchAll(/^\| `(\w+)` *\| ([^|]*)\|/gm)].map(([, name, uses]) => [
    name,
    uses?.trim(),
  ]);
  const arrows = Object.entries(ARROWS).map(([name, uses]) => [
    name,
    ["cli", "bench"].includes(name) ? "all" : uses.join(", ") || "–",
  ]);
  expect(drawn).toEqual(arrows);
});
