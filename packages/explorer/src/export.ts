import { FarmError } from "@loc2vec/core";
import type { Method } from "./about.ts";
import type { Exploration } from "./exploration.ts";
import { pageFile } from "./page-files.ts";

/** Points that a page of its own may hold: each takes about a kilobyte. */
export const MOST_EXPORTED = 20_000;

export interface ExportOptions {
  /** Arrangements to compute and put in beside PCA. */
  methods: readonly Method[];
  onProgress?: (done: number, all: number) => void;
  signal?: AbortSignal;
}

/**
 * The explorer as one file that needs no server: points, sprites, arrangements, scripts and styles, all within it. Its map shows
 * points on a plain ground.
 *
 * @throws FarmError `input` for more points than {@link MOST_EXPORTED}; what drawing the sprites and arranging throw
 */
export async function exportPage(
  exploration: Exploration,
  { methods, onProgress, signal }: ExportOptions,
): Promise<string> {
  const { points, sheets, about } = exploration;
  if (points > MOST_EXPORTED)
    throw new FarmError(
      "input",
      `a page of ${points} points: at most ${MOST_EXPORTED} fit`,
      `choose some of them with --points ${MOST_EXPORTED}`,
    );
  const all = sheets + methods.length;
  const parts: string[] = [part("points", exploration.encode())];
  for (let sheet = 0; sheet < sheets; sheet++) {
    signal?.throwIfAborted();
    parts.push(part(`sheet-${sheet}`, await exploration.sheet(sheet)));
    onProgress?.(sheet + 1, all);
  }
  for (const [i, method] of methods.entries()) {
    const { buffer, byteOffset, byteLength } = await exploration.arranged(method);
    signal?.throwIfAborted();
    parts.push(part(`arrangement-${method}`, new Uint8Array(buffer, byteOffset, byteLength)));
    onProgress?.(sheets + i + 1, all);
  }
  const [html, script, style, worker] = await Promise.all(
    (["index.html", "explorer.js", "explorer.css", "map-worker.js"] as const).map(
      async (name) => (await pageFile(name)).bytes,
    ),
  );
  parts.push(part("map-worker", worker as Buffer));
  // Functions, for a text in the place of another is read for patterns.
  return String(html)
    .replace(/<title>.*<\/title>/, () => `<title>${about.dataset} by ${about.model}</title>`)
    .replace(/<link rel="stylesheet".*>/, () => `<style>${style}</style>`)
    .replace(
      /<script .*<\/script>/,
      () =>
        `${parts.join("\n")}\n<script type="module">${String(script).replaceAll("</script", "<\\/script")}</script>`,
    );
}

/** Bytes within a page, which its script finds by their name. */
function part(name: string, bytes: Uint8Array): string {
  return `<script type="application/octet-stream" id="part-${name}">${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")}</script>`;
}
