import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { EXIT_CODES } from "@loc2vec/core";
import { expect, test } from "vitest";
import { NODE_RANGE, runsFarm } from "../src/node.ts";
import { CLI } from "./farm.ts";

test.each([
  ["18.20.8", false],
  ["20.20.2", false],
  ["22.14.0", false],
  ["22.15.0", true],
  ["22.23.3", true],
  ["23.7.0", false],
  ["23.8.0", true],
  ["24.0.0", true],
  ["100.1.0", true],
])("Node %s runs the farm: %s", (version, expected) => {
  expect(runsFarm(version)).toBe(expected);
});

test("the package's engines say the same", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  expect(manifest.engines.node).toBe(NODE_RANGE);
});

/** An older Node on this machine, if there is one. */
const older = (process.env.PATH ?? "")
  .split(delimiter)
  .map((folder) => join(folder, "node"))
  .find(
    (node) =>
      existsSync(node) && !runsFarm(spawnSync(node, ["-p", "process.versions.node"]).stdout.toString()),
  );
/** This Node, which takes itself for an older one. */
const pretending = `--import=data:text/javascript,${encodeURIComponent(
  'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.0.0" } })',
)}`;

test.each([
  ["one that takes itself for an older one", [process.execPath, pretending]],
  ...(older === undefined ? [] : [["an older one", [older]] as [string, string[]]]),
] as [string, string[]][])("by %s: one line that says how to mend it", (_, [node = "", ...flags]) => {
  const { status, stdout, stderr } = spawnSync(node, [...flags, CLI, "config", "--json"], {
    encoding: "utf8",
  });
  expect(stderr).toMatch(/^error: Node [\d.]+ is too old .*22\.15.*\(mend: pnpm farm .*\)\n$/);
  expect(JSON.parse(stdout).error.kind).toBe("missing");
  expect(status).toBe(EXIT_CODES.missing);
});
