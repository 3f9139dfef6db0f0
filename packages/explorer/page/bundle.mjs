// Puts the page together: all that it needs lies in dist/page, and it asks no other host for anything.
import { copyFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const out = join(here, "../dist/page");
await mkdir(out, { recursive: true });
const { metafile } = await build({
  entryPoints: { explorer: join(here, "main.ts") },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2023",
  legalComments: "none",
  // Of the farm's packages only what calculates is used; what belongs to Node falls away with the rest.
  external: ["node:*"],
  metafile: true,
  alias: {
    "node:timers/promises": join(here, "without-node.ts"),
    usearch: join(here, "without-node.ts"),
  },
  logLevel: "warning",
});
const left = Object.values(metafile.outputs)
  .flatMap(({ imports }) => imports.map(({ path }) => path))
  .filter((path) => !path.startsWith("data:"));
if (left.length > 0) throw new Error(`the page would ask for ${left.join(", ")}, which no browser has`);
await copyFile(join(here, "index.html"), join(out, "index.html"));
const maplibre = dirname(createRequire(import.meta.url).resolve("maplibre-gl/dist/maplibre-gl.css"));
await copyFile(join(maplibre, "maplibre-gl-worker.mjs"), join(out, "map-worker.js"));
