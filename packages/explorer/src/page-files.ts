import { readFile } from "node:fs/promises";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "../dist/page");

/** What the page is made of; `esbuild` has put it together when the package was built. */
const TYPES = {
  "index.html": "text/html; charset=utf-8",
  "explorer.js": "text/javascript; charset=utf-8",
  "explorer.css": "text/css; charset=utf-8",
  "map-worker.js": "text/javascript; charset=utf-8",
} as const;

export type PageFile = keyof typeof TYPES;
export const PAGE_FILES = Object.keys(TYPES) as PageFile[];

/** What the page may load: from its own server alone. */
export const PAGE_POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:"],
  ...["connect-src 'self' blob: data:", "worker-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"],
  "form-action 'none'",
].join("; ");

/** A file of the page, and its media type. */
export async function pageFile(name: PageFile): Promise<{ type: string; bytes: Buffer }> {
  return { type: TYPES[name], bytes: await readFile(join(FOLDER, name)) };
}
