import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { FarmError } from "@loc2vec/core";
import { withLock } from "@loc2vec/services";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");

/** The path of a Python with the packages of requirements.txt. Made once for each Python and list of packages, and kept beside the farm's other caches. */
export async function pythonEnvironment(): Promise<string> {
  const requirements = join(ROOT, "test/requirements.txt");
  const { stdout: version } = await run("python3", ["--version"]).catch((error) => {
    throw new FarmError("missing", "python3: not installed", "sudo apt-get install python3 python3-venv", {
      cause: error,
    });
  });
  const hash = createHash("sha256")
    .update(version)
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const cache = join(ROOT, ".farm/cache");
  const folder = join(cache, `python-${hash}`);
  const python = join(folder, "bin/python");
  return withLock(join(cache, "python.lock"), async () => {
    if (existsSync(python)) return python;
    console.error(`tests: making a Python environment in ${folder}`);
    const begun = `${folder}.begun`;
    await rm(begun, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true }); // Its Python is gone.
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
    try {
      await run("python3", ["-m", "venv", begun]);
      await run(join(begun, "bin/python"), pip, { maxBuffer: 1 << 26 });
      await rename(begun, folder);
    } catch (error) {
      await rm(begun, { recursive: true, force: true });
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      const told = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
      const line = told.find((each) => /error/i.test(each)) ?? told.at(-1) ?? String(error);
      throw new FarmError(
        "missing",
        `${requirements}: ${line.trim()}`,
        "python3 with venv and pip, and a way to PyPI",
        { cause: error },
      );
    }
    return python;
  });
}
