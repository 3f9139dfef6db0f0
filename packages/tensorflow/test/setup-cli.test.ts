import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const CLI = fileURLToPath(new URL("../dist/setup-cli.js", import.meta.url));

/** Runs it where no Python is found: it fails once it has settled on a folder. */
function setup(root: string, settings: Record<string, string>): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, root], { env: { PATH: "/nowhere", ...settings } }, (error, _, stderr) =>
      resolve({ code: error?.code ?? 0, stderr }),
    );
  });
}

test.each([
  ["a b/100%/ü", "a b/100%/ü"],
  ["", ".farm"],
])("set-up takes FARM_HOME=%s as the farm does", async (given, folder) => {
  const root = await mkdtemp(join(tmpdir(), "setup-"));
  onTestFinished(() => rm(root, { recursive: true }));
  expect(await setup(root, { FARM_HOME: given, FARM_TENSORFLOW: "cpu" })).toMatchObject({ code: 5 });
  expect(existsSync(join(root, folder, "cache/tensorflow"))).toBe(true);
});

test.each([
  [{ FARM_TENSORFLOW: "tpu" }, /FARM_TENSORFLOW=tpu/],
  [{ FARM_HOME: "~other" }, /FARM_HOME=~other: .*\(mend: /],
  [{ FARM_STORE: "s3://bucket/100%done" }, /FARM_STORE=.*% as %25/],
])("set-up refuses %j as the farm does", async (settings, line) => {
  expect(await setup("/nowhere", settings)).toEqual({ code: 2, stderr: expect.stringMatching(line) });
});
