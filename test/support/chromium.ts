import { spawnSync } from "node:child_process";

/** How the system's Chromium is started, for playwright. @throws Error where there is none */
export function chromiumLaunch(args: readonly string[] = []): { executablePath: string; args: string[] } {
  const { stdout } = spawnSync(
    "sh",
    ["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"],
    { encoding: "utf8" },
  );
  if (stdout === "") throw new Error("Chromium is missing: sudo apt-get install chromium");
  // Chromium's own sandbox does not start for root.
  return {
    executablePath: stdout.trim(),
    args: [...args, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
  };
}
