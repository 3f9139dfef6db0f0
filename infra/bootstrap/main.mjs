// From a clean clone to a working farm: `node infra/bootstrap/main.mjs setup|test|demo`.
// Node's own modules only: nothing is installed yet when this runs.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { installSystemPackages } from "./system.mjs";

const root = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");
const bin = join(root, "node_modules/.bin");
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, TURBO_TELEMETRY_DISABLED: "1" };

/** Ends with one line that names what failed and how to mend it. */
export function fail(message, mend, code = 5) {
  console.error(`error: ${message} (mend: ${mend})`);
  process.exit(code);
}

function run(command, args, { quiet = true } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit",
    encoding: "utf8",
  });
  if (result.error)
    fail(
      `${command} does not start: ${result.error.message}`,
      "see the README's list of what a machine needs",
    );
  if (result.status !== 0) {
    if (quiet) process.stderr.write(`${result.stdout}${result.stderr}`);
    fail(
      `${[command, ...args].join(" ")} ended with ${result.status ?? result.signal}`,
      "see the lines above",
      1,
    );
  }
  return result.stdout;
}

function step(label, work) {
  const started = Date.now();
  const note = work();
  console.error(`setup: ${label}: ${note ?? "done"} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
}

function installDependencies() {
  const stamp = join(root, ".farm/setup/dependencies");
  const hash = createHash("sha256")
    .update(readFileSync(join(root, "pnpm-lock.yaml")))
    .digest("hex");
  if (existsSync(join(bin, "turbo")) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash)
    return "in place";
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  run("npx", ["-y", packageManager, "install", "--frozen-lockfile"]);
  mkdirSync(join(root, ".farm/setup"), { recursive: true });
  writeFileSync(stamp, hash);
  return "installed";
}

/** Where to and which, core's configuration says: the build is done by now, so settings are read there alone. */
function bindTensorflow() {
  const cli = join(root, "packages/tensorflow/dist/setup-cli.js");
  const result = spawnSync("node", [cli, root], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
  return result.stdout.trim();
}

function setup({ tests = false } = {}) {
  if (Number(process.versions.node.split(".")[0]) < 20)
    fail(`Node ${process.versions.node} is too old`, "install Node 20 or later");
  step("system packages", () => installSystemPackages({ tests }));
  step("npm packages", installDependencies);
  step("build", () => void run("turbo", ["run", "build", "--output-logs=errors-only"]));
  step("TensorFlow", bindTensorflow);
}

/** Runs some tests. */
function runTests(name, args) {
  const report = join(root, `.farm/setup/${name}.json`);
  rmSync(report, { force: true });
  const { status } = spawnSync(
    "vitest",
    ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...args],
    {
      cwd: root,
      env,
      stdio: "inherit",
    },
  );
  if (!existsSync(report)) fail("the test runner left no report", "see the lines above", 1);
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
  return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests, status: status ?? 1 };
}

/** Prints, package by package, how much of it the unit tests run. */
function printCoverage(folder) {
  const path = join(folder, "coverage-summary.json");
  if (!existsSync(path)) return; // Vitest writes none when a test failed.
  const packages = new Map();
  for (const [file, { lines, branches }] of Object.entries(JSON.parse(readFileSync(path, "utf8")))) {
    const [, name] = /packages[/\\]([^/\\]+)[/\\]src/.exec(file) ?? [];
    if (name === undefined) continue;
    const sums = packages.get(name) ?? { lines: [0, 0], branches: [0, 0] };
    for (const [sum, one] of [
      [sums.lines, lines],
      [sums.branches, branches],
    ]) {
      sum[0] += one.covered;
      sum[1] += one.total;
    }
    packages.set(name, sums);
  }
  const share = ([covered, total]) =>
    total === 0 ? "–".padStart(9) : `${((100 * covered) / total).toFixed(0)} %`.padStart(9);
  console.log("coverage by the unit tests alone, which need no service:");
  console.log(`${"package".padEnd(12)}${"lines".padStart(9)}${"branches".padStart(9)}`);
  for (const [name, { lines, branches }] of [...packages].sort())
    console.log(`${name.padEnd(12)}${share(lines)}${share(branches)}`);
}

/**
 * Runs linter and tests and closes with `N passed, N failed`. Without arguments these are all tests: first the unit tests,
 * of which coverage is taken, then those with services, which run mostly in processes of their own, where none is.
 */
function test(args) {
  run("biome", ["ci", "."], { quiet: false });
  const coverage = join(root, ".farm/coverage");
  rmSync(coverage, { recursive: true, force: true });
  const covering = [
    ...["--coverage.enabled", "--coverage.provider=v8", "--coverage.include=packages/*/src/**"],
    ...["--coverage.reporter=json-summary", `--coverage.reportsDirectory=${coverage}`],
  ];
  const results =
    args.length > 0
      ? [runTests("tests", args)]
      : [
          runTests("unit", ["--project", "unit", ...covering]),
          runTests("services", ["--project", "services"]),
        ];
  printCoverage(coverage);
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const skipped = sum("skipped");
  console.log(`${sum("passed")} passed, ${sum("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exit(sum("passed") === 0 ? 1 : Math.max(...results.map(({ status }) => status)));
}

/** Runs the farm's own demo; Ctrl-C reaches it directly, and it says how it ended. */
function demo(args) {
  const cli = ["--enable-source-maps", join(root, "packages/cli/dist/main.js"), "demo", ...args];
  process.on("SIGINT", () => {});
  const child = spawn("node", cli, { cwd: process.cwd(), env, stdio: "inherit" });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code) => process.exit(code ?? 1));
}

const [command, ...args] = process.argv.slice(2);
if (command === "setup") setup();
else if (command === "demo") {
  if (!args.includes("--help")) setup();
  demo(args);
} else if (command === "test") {
  setup({ tests: true });
  test(args);
} else fail(`unknown command ${command ?? ""}`, "one of setup, test, demo", 2);
