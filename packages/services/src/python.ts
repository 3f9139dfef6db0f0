import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { FarmError, redactText } from "@loc2vec/core";
import { withLock } from "./lock.ts";

const run = promisify(execFile);

/**
 * A Python of its own with packages from PyPI. Made once for each Python and list of packages.
 *
 * @param cache folder of such environments
 * @param requirements the lines of a requirements.txt
 * @returns the path of the Python
 * @throws FarmError `missing` without python3, or when pip cannot install
 */
export async function pythonEnvironment(
  cache: string,
  requirements: readonly string[],
  log = console.error,
): Promise<string> {
  const { stdout: version } = await run("python3", ["--version"]).catch((error) => {
    throw new FarmError("missing", "python3: not installed", "sudo apt-get install python3 python3-venv", {
      cause: error,
    });
  });
  const hash = createHash("sha256")
    .update(JSON.stringify([version, requirements]))
    .digest("hex")
    .slice(0, 12);
  const folder = join(cache, `python-${hash}`);
  const python = join(folder, "bin/python");
  return withLock(join(cache, "python.lock"), async () => {
    if (existsSync(python)) return python;
    log(`making a Python environment in ${folder}`);
    const begun = `${folder}.begun`;
    await rm(begun, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true }); // Its Python is gone.
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...requirements];
    try {
      await run("python3", ["-m", "venv", begun]);
      await run(join(begun, "bin/python"), pip, { maxBuffer: 1 << 26 });
      await rename(begun, folder);
    } catch (error) {
      await rm(begun, { recursive: true, force: true });
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      const told = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
      const line = told.find((entry) => /error/i.test(entry)) ?? told.at(-1) ?? String(error);
      throw new FarmError(
        "missing",
        `pip install ${requirements.join(" ")}: ${redactText(line.trim())}`,
        "python3 with venv and pip, and a way to PyPI",
        { cause: error },
      );
    }
    return python;
  });
}
