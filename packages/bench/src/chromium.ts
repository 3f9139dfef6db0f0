import { execFileSync } from "node:child_process";
import { FarmError } from "@loc2vec/core";
import { type Browser, chromium } from "playwright-core";

/** Starts the system's Chromium, which draws WebGL on the CPU. @throws FarmError `usage` where there is none */
export async function openChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    args: [
      ...["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
      // Chromium's own sandbox does not start for root.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ],
  });
}

function findChromium(): string {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const script = names.map((name) => `command -v ${name}`).join(" || ");
  try {
    return execFileSync("sh", ["-c", script], { encoding: "utf8" }).trim();
  } catch (error) {
    throw new FarmError("usage", "there is no Chromium", "sudo apt-get install chromium", { cause: error });
  }
}
