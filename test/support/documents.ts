import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface Document {
  /** Relative to the project. */
  readonly path: string;
  readonly text: string;
}

/** Every Markdown document of the project, also those that are not committed yet. */
export function documents(): Document[] {
  const listed = execFileSync(
    "git",
    ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "*.md"],
    {
      cwd: ROOT,
      encoding: "utf8",
    },
  );
  return listed
    .split("\n")
    .filter((path) => path !== "" && existsSync(join(ROOT, path)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

export interface Block {
  /** What follows the opening fence: `ts`, `python`, or nothing. */
  readonly language: string;
  readonly code: string;
}

const FENCED = /^```(\w*)\n([\s\S]*?)^```$/gm;

export function codeBlocks(text: string): Block[] {
  return [...text.matchAll(FENCED)].map(([, language = "", code = ""]) => ({ language, code }));
}

export function withoutCodeBlocks(text: string): string {
  return text.replace(FENCED, "");
}
