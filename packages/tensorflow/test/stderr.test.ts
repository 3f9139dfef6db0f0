import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { stderrAddonPath } from "../src/setup.ts";
import { withoutNotices } from "../src/stderr.ts";

const SMOKE = fileURLToPath(new URL("../dist/smoke.js", import.meta.url));

/** What TensorFlow says on stderr while it is loaded and computes the gradient of a convolution. */
function said(settings: Record<string, string>): string {
  const { TF_CPP_MIN_LOG_LEVEL, TF_ENABLE_ONEDNN_OPTS, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, [SMOKE], {
    env: { ...env, ...settings },
    encoding: "utf8",
  });
  expect(status).toBe(0);
  return stderr;
}

test("TensorFlow says nothing where nothing is wrong", () => {
  expect(said({})).toBe("");
});

test("what else it says while it is loaded arrives", () => {
  expect(said({ TF_ENABLE_ONEDNN_OPTS: "perhaps" })).toMatch(
    /^W\d{4} .*TF_ENABLE_ONEDNN_OPTS is not set to either '0', 'false', '1', or 'true'.*\n$/,
  );
});

test("TF_CPP_MIN_LOG_LEVEL=0 asks for all notices", () => {
  expect(said({ TF_CPP_MIN_LOG_LEVEL: "0" })).toContain("oneDNN custom operations are on");
});

test("only whole lines that are known are left out", () => {
  const early = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n";
  const notice =
    "I0000 00:00:1795674591.022434   17409 port.cc:153] oneDNN custom operations are on. You may …\n";
  const others = [
    "W0000 00:00:1795674591.022434   17409 port.cc:153] oneDNN custom operations are on. \n",
    "E0000 00:00:1795674591.022434   17409 cuda_dnn.cc:1] Unable to register cuDNN factory\n",
    "\n",
    "no line's end",
  ];
  expect(withoutNotices(early + others[0] + notice + others.slice(1).join(""))).toBe(others.join(""));
  expect(withoutNotices("")).toBe("");
});

test("a process that aborts while stderr is held back still says why", () => {
  const script = `
    const stderr = require(${JSON.stringify(stderrAddonPath())});
    const { writeSync } = require("node:fs");
    stderr.hold(); writeSync(2, "first "); process.stdout.write(stderr.release());
    stderr.hold(); writeSync(2, "the reason"); process.abort();`;
  const { signal, stdout, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  expect({ signal, stdout }).toEqual({ signal: "SIGABRT", stdout: "first " });
  expect(stderr).toMatch(/^the reason/);
});
