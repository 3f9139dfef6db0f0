import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { whole } from "@loc2vec/cli";
import { type FarmContext, machine } from "@loc2vec/farm";
import { Option } from "commander";
import type { Page } from "playwright-core";
import { defineBench, type MapOptions, mapOption, type Report } from "../bench.ts";
import { openChromium } from "../chromium.ts";
import { type ImportedMap, withMap } from "../map.ts";
import { quantile } from "../quantile.ts";
import { TOKEN, withServer, writeSynthetic } from "./synthetic.ts";

/** A laptop's window, pixels. */
const WINDOW = { width: 1400, height: 860 };
/** How far the pointer drags, pixels there and back. */
const REACH = 120;
const DRAG_STEPS = 24;
const READY_WITHIN_MS = 300_000;

interface ExploreOptions extends MapOptions {
  rows: number;
  seconds: number;
}

export const explore = defineBench({
  name: "explore",
  description:
    "the explorer's page in Chromium, drawn by the CPU: when it is there, and how smoothly it moves",
  options: (command) =>
    command
      .addOption(mapOption())
      .addOption(
        new Option("--rows <n>", "locations with synthetic vectors").argParser(whole(100)).default(20_000),
      )
      .addOption(new Option("--seconds <n>", "of each movement").argParser(whole(2)).default(10)),
  measure: (context, { pbf, ...options }: ExploreOptions, report) =>
    withMap(context, pbf, (imported) => measureExplorer(context, imported, options, report)),
});

async function measureExplorer(
  context: FarmContext,
  imported: ImportedMap,
  { rows, seconds }: ExploreOptions,
  report: Report,
): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  const storeUrl = pathToFileURL(join(folder, "store")).href;
  try {
    await writeSynthetic(context, imported, storeUrl, rows);
    return await withServer(context, imported.databaseUrl, storeUrl, folder, async (url) => {
      const browser = await openChromium();
      try {
        const httpCredentials = { username: "bench", password: TOKEN };
        const page = await browser.newPage({ viewport: WINDOW, httpCredentials });
        // Nobody drew tiles of these locations, so points have no pictures.
        await page.goto(`${url}/#sprites=off`);
        await page.locator("#app[data-ready]").waitFor({ timeout: READY_WITHIN_MS });
        const begun = await page.evaluate<Record<string, number>>(`({
          first_paint_ms: Math.round(performance.getEntriesByName("first-contentful-paint")[0].startTime),
          ready_ms: Math.round(performance.now()),
        })`);
        report(begun);
        const space = await framesOf(page, "#space canvas", seconds);
        report(named("space", space));
        const map = await framesOf(page, "#map canvas", seconds);
        return {
          machine: machine(),
          n: rows,
          chromium: browser.version(),
          ...begun,
          ...named("space", space),
          ...named("map", map),
        };
      } finally {
        await browser.close();
      }
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const named = (view: string, frames: readonly number[]): Record<string, number> => ({
  [`${view}_frames_per_s`]: round((1000 * frames.length) / frames.reduce((sum, ms) => sum + ms, 0)),
  [`${view}_frame_p50_ms`]: round(quantile(frames, 0.5)),
  [`${view}_frame_p95_ms`]: round(quantile(frames, 0.95)),
});

/** Drags a view to and fro, and takes the time between frames, milliseconds. */
async function framesOf(page: Page, selector: string, seconds: number): Promise<number[]> {
  const box = await page.locator(selector).first().boundingBox();
  if (box === null) throw new Error(`${selector} is not to be seen`);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.evaluate(`{
    const times = (globalThis.frameTimes = []);
    const note = (time) => {
      times.push(time);
      if (times === globalThis.frameTimes) requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
  }`);
  const until = performance.now() + 1000 * seconds;
  while (performance.now() < until)
    for (const side of [1, -1])
      await page.mouse.move(x + side * REACH, y + (side * REACH) / 3, { steps: DRAG_STEPS });
  const times = await page.evaluate<number[]>("globalThis.frameTimes");
  await page.mouse.up();
  return times.slice(1).map((time, i) => time - (times[i] as number));
}

const round = (value: number): number => Number(value.toFixed(1));
