/**
 * `pnpm mutation [TARGET ...]`: changes the code of each target in every way Stryker knows, and counts which changes its tests
 * notice. Stryker is installed here at the first run, and is no part of `npm run setup`. The table in docs/mutation.md is
 * written anew for the targets that ran.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { TARGETS } from "./targets.mjs";

const LEAST = 80;
const here = import.meta.dirname;
const root = resolve(here, "../..");
const document = join(root, "docs/mutation.md");
const reports = join(root, ".farm/mutation");

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit", ...options });
  if (error !== undefined) throw error;
  return status ?? 1;
}

function mutate({ name, sources }) {
  const report = join(reports, `${name}.json`);
  const config = join(reports, `${name}.config.json`);
  writeFileSync(
    config,
    JSON.stringify({
      mutate: sources,
      testRunner: "vitest",
      plugins: [join(here, "node_modules/@stryker-mutator/vitest-runner/dist/src/index.js")],
      vitest: { configFile: "test/mutation/vitest.config.mjs", related: false },
      coverageAnalysis: "perTest",
      concurrency: 2,
      timeoutMS: 20_000,
      reporters: ["clear-text", "json"],
      clearTextReporter: { allowColor: false, reportTests: false, logTests: false },
      jsonReporter: { fileName: report },
      tempDirName: ".farm/mutation/sandbox",
      ignorePatterns: [".farm", "test/mutation/node_modules"],
      tsconfigFile: "none", // it would be rewritten by a library of TypeScript that version 7 has not
    }),
  );
  const stryker = join(here, "node_modules/@stryker-mutator/core/bin/stryker.js");
  const status = run("node", [stryker, "run", config], {
    cwd: root,
    env: { ...process.env, MUTATION_TARGET: name },
  });
  if (status !== 0) process.exit(status);
  const counts = { Killed: 0, Timeout: 0, Survived: 0, NoCoverage: 0 };
  for (const { mutants } of Object.values(JSON.parse(readFileSync(report, "utf8")).files))
    for (const { status: outcome } of mutants) if (outcome in counts) counts[outcome]++;
  const noticed = counts.Killed + counts.Timeout;
  const survived = counts.Survived + counts.NoCoverage;
  return { name, sources, noticed, survived, score: (100 * noticed) / (noticed + survived) };
}

/** Replaces the rows of the targets that ran, and keeps the others. */
function writeTable(results) {
  const text = readFileSync(document, "utf8");
  const [, table = ""] = /<!-- scores -->\n([\s\S]*)<!-- \/scores -->/.exec(text) ?? [];
  const rows = TARGETS.flatMap(({ name }) => {
    const result = results.find((one) => one.name === name);
    if (result === undefined) return table.split("\n").filter((line) => line.startsWith(`| ${name} `));
    const { sources, noticed, survived, score } = result;
    const cells = [
      name,
      sources.map((one) => `\`${one}\``).join(", "),
      noticed,
      survived,
      `${score.toFixed(1)} %`,
    ];
    return [`| ${cells.join(" | ")} |`];
  });
  const head = ["| target | mutated | noticed | survived | score |", "| --- | --- | --- | --- | --- |"];
  const anew = `<!-- scores -->\n\n${[...head, ...rows].join("\n")}\n\n<!-- /scores -->`;
  writeFileSync(
    document,
    text.replace(/<!-- scores -->[\s\S]*<!-- \/scores -->/, () => anew),
  );
  run("biome", ["format", "--write", document], { cwd: root });
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !TARGETS.some((target) => target.name === name));
if (unknown.length > 0) {
  console.error(`no target ${unknown.join(", ")}: one of ${TARGETS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
if (!existsSync(join(here, "node_modules/@stryker-mutator/core"))) {
  const status = run("npm", ["ci", "--no-audit", "--no-fund", "--legacy-peer-deps"], { cwd: here });
  if (status !== 0) process.exit(status);
}
mkdirSync(reports, { recursive: true });
const results = TARGETS.filter(({ name }) => names.length === 0 || names.includes(name)).map(mutate);
writeTable(results);
for (const { name, score } of results) console.log(`${name}: ${score.toFixed(1)} %`);
process.exit(results.every(({ score }) => score >= LEAST) ? 0 : 1);
