import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContext, chromium, type Download, type Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chromiumLaunch } from "../../../test/support/chromium.ts";
import { startServer } from "../../server/src/index.ts";
import { ask, get, LOCATIONS, TOKEN, testWorld } from "../../server/test/world.ts";
import { explore, exportPage, openEmbedded } from "../src/index.ts";

// Starts one server and one Chromium, and uses every part of the page as somebody would.

const world = testWorld("explorer_test");
const AXE = createRequire(import.meta.url).resolve("axe-core");
const WIDTH = { width: 1300, height: 820 };
/** An eye that has many tiles before it. */
const EYE = "eye=0.75,0.35,0.85,0,0,0";
let server: Awaited<ReturnType<typeof startServer>>;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let home: string;
const troubles: string[] = [];
const asked: string[] = [];
let places: { location: number; lon: number; lat: number; kind: string }[];
/** What each location's tile looks like, small: uint8 [16, 16, 3]. */
let pictures: Uint8Array[];

const small = async (picture: Uint8Array | Buffer): Promise<Uint8Array> =>
  new Uint8Array(await sharp(picture).removeAlpha().resize(16, 16, { kernel: "mitchell" }).raw().toBuffer());

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "explorer-"));
  const { store, profile, databaseUrl } = world;
  server = await startServer({
    ...{ store, profile, databaseUrl, renderer: "fast", dataset: "city", model: "pretrained" },
    ...{ port: 0, tokens: TOKEN, log: () => {} },
  });
  const all = Array.from({ length: LOCATIONS }, (_, location) => location);
  places = await Promise.all(all.map((location) => get(`${server.url}/v1/locations/${location}`)));
  pictures = await Promise.all(
    all.map(async (location) => small((await ask(`${server.url}/v1/locations/${location}/tile.png`)).bytes)),
  );
  // WebGL without a GPU.
  browser = await chromium.launch(
    chromiumLaunch(["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]),
  );
  context = await browser.newContext({
    ...{ viewport: WIDTH, reducedMotion: "reduce", httpCredentials: { username: "me", password: TOKEN } },
  });
  page = await context.newPage();
  watch(page);
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(home, { recursive: true, force: true });
});

function watch(watched: Page): void {
  watched.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") troubles.push(message.text());
  });
  watched.on("pageerror", (error) => troubles.push(error.message));
  watched.on("request", (request) => asked.push(request.url()));
}

/** Opens the explorer as an address says. */
async function open(state = ""): Promise<void> {
  await page.goto("about:blank");
  await page.goto(`${server.url}/#${state}`);
  await ready(page);
}

const ready = (opened: Page) => opened.locator("#app[data-ready]").waitFor({ timeout: 60_000 });
const stripped = async (): Promise<number[]> =>
  page
    .locator("#strip .tile")
    .evaluateAll((tiles) => tiles.map((tile) => Number((tile as HTMLElement).dataset.location)));
const strip = (expected: readonly number[]) => expect.poll(stripped, { timeout: 15_000 }).toEqual(expected);
const rows = (found: readonly { location: number }[]) => found.map(({ location }) => location);

/** Web Mercator, in pixels of MapLibre at a zoom. */
const mercator = ({ lon, lat }: { lon: number; lat: number }, zoom: number) => {
  const y = Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360));
  return { x: ((lon + 180) / 360) * 512 * 2 ** zoom, y: ((1 - y / Math.PI) / 2) * 512 * 2 ** zoom };
};

const ZOOM = 14;
/** Where a location is on the screen while the map is as `mapState` says. */
async function onMap(location: number): Promise<{ x: number; y: number }> {
  const box = await page.locator("#map .canvas-host").boundingBox();
  const [centre, at] = [mercator(places[0] as never, ZOOM), mercator(places[location] as never, ZOOM)];
  const { x, y, width, height } = box as { x: number; y: number; width: number; height: number };
  return { x: x + width / 2 + at.x - centre.x, y: y + height / 2 + at.y - centre.y };
}
const mapState = () => `map=${places[0]?.lon},${places[0]?.lat},${ZOOM}`;

async function isOnMap({ x, y }: { x: number; y: number }): Promise<boolean> {
  const box = (await page.locator("#map .canvas-host").boundingBox()) as {
    x: number;
    y: number;
    width: number;
    height: number;
  };
  return x > box.x + 5 && x < box.x + box.width - 5 && y > box.y + 5 && y < box.y + box.height - 5;
}

/** What the tooltip says lies under the pointer, once its picture is drawn. */
async function underPointer(): Promise<{ location: number; picture: Uint8Array } | undefined> {
  const told = await page.evaluate(async () => {
    // A frame for the picking, and one for what follows from it.
    for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
    const tip = document.querySelector(".tooltip") as HTMLElement;
    if (tip.hidden) return undefined;
    const canvas = tip.querySelector("canvas") as HTMLCanvasElement;
    for (let i = 0; i < 200 && canvas.dataset.point === undefined; i++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    return { location: Number(tip.dataset.location), url: canvas.toDataURL() };
  });
  if (told === undefined) return undefined;
  return {
    location: told.location,
    picture: await small(Buffer.from(told.url.split(",")[1] as string, "base64")),
  };
}

const difference = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] as number)), 0) / a.length;

/** A tooltip's picture is that of the location it names, and no other location's fits better, but for what WebP blurs. */
function expectTrue({ location, picture }: { location: number; picture: Uint8Array }): void {
  const own = difference(picture, pictures[location] as Uint8Array);
  expect(own, `location ${location}`).toBeLessThan(9);
  for (const other of pictures) expect(difference(picture, other)).toBeGreaterThanOrEqual(own - 1);
}

test("the picture under the pointer is the location it claims, on the map and in space, after every filter", async () => {
  const [focus] = places as [{ lon: number; lat: number }];
  const metres = (place: { lon: number; lat: number }): number => {
    const k = 111_195;
    return Math.hypot(
      (place.lon - focus.lon) * k * Math.cos((focus.lat * Math.PI) / 180),
      (place.lat - focus.lat) * k,
    );
  };
  for (const [state, passes] of [
    ["", () => true],
    ["kind=visit", ({ kind }) => kind === "visit"],
    ["focus=0&within=600&colour=v3", (place) => metres(place) < 600],
  ] as [string, (place: (typeof places)[number]) => boolean][]) {
    await open(`${mapState()}&${EYE}&${state}`);
    let hits = 0;
    for (const { location } of places.slice(0, 30)) {
      const at = await onMap(location);
      if (!(await isOnMap(at)) || hits >= 4) continue;
      await page.mouse.move(at.x, at.y);
      const told = await underPointer();
      if (told === undefined) {
        // Nothing is told only where the filter has taken the location away.
        expect(passes(places[location] as never), `${state}: ${location}`).toBe(false);
        continue;
      }
      hits++;
      expectTrue(told);
      expect(passes(places[told.location] as never), `${state}: ${told.location}`).toBe(true);
    }
    expect(hits, `on the map: ${state}`).toBeGreaterThan(2);
    const box = (await page.locator("#space .canvas-host").boundingBox()) as {
      x: number;
      y: number;
      width: number;
      height: number;
    };
    const seen = new Set<number>();
    for (let i = 0; i < 80 && seen.size < 3; i++) {
      // The points of a lattice that fills a square evenly (Roberts 2018).
      const [across, down] = [(0.5 + i * 0.754877) % 1, (0.5 + i * 0.56984) % 1];
      await page.mouse.move(
        box.x + box.width * (0.2 + 0.6 * across),
        box.y + box.height * (0.2 + 0.6 * down),
      );
      const told = await underPointer();
      if (told === undefined) continue;
      seen.add(told.location);
      expectTrue(told);
      expect(passes(places[told.location] as never), `in space: ${state}: ${told.location}`).toBe(true);
    }
    expect(seen.size, `in space: ${state}`).toBeGreaterThan(1);
  }
}, 180_000);

test("a click looks at a location or any spot: tile, channels, vector, and neighbours as the API tells them", async () => {
  await open(mapState());
  const at = await onMap(0);
  await page.mouse.click(at.x, at.y);
  await page.getByRole("heading", { name: "Location 0" }).waitFor();
  await page.locator(".picture[data-full]").waitFor();
  expect(await page.locator(".channels li").count()).toBe(12);
  const bars = await page
    .locator(".bars li")
    .evaluateAll((all) => all.map((bar) => (bar as HTMLElement).title));
  const { vector } = await get(`${server.url}/v1/locations/0`);
  expect(bars).toEqual(vector.map((value: number, i: number) => `Number ${i + 1}: ${value.toFixed(4)}`));
  await strip(rows((await get(`${server.url}/v1/neighbours?location=0&k=12`)).neighbours));
  // Beside it, where there is no location.
  const free = { x: at.x + 33, y: at.y + 27 };
  await page.mouse.click(free.x, free.y);
  await page.locator(".chips", { hasText: "spot of the map" }).waitFor();
  await page.locator(".picture[data-full]").waitFor();
  await expect.poll(() => page.url()).toMatch(/focus=[\d.]+%2C[\d.]+/);
  const [lon, lat] = (new URLSearchParams(new URL(page.url()).hash.slice(1)).get("focus") as string).split(
    ",",
  );
  await strip(rows((await get(`${server.url}/v1/neighbours?lon=${lon}&lat=${lat}&k=12`)).neighbours));
  await page.locator("#strip .tile").first().click();
  await page.locator(".detail h2", { hasText: "Location" }).waitFor();
}, 90_000);

test("places are calculated with, by dragging and by keyboard; the way between two, and a walk", async () => {
  await open("focus=5&strip=neighbours");
  const [first = -1] = rows((await get(`${server.url}/v1/neighbours?location=5&k=12`)).neighbours);
  await strip(rows((await get(`${server.url}/v1/neighbours?location=5&k=12`)).neighbours));
  await page.locator("#strip .tile").first().dragTo(page.locator(".slot[data-term=a]"));
  await expect.poll(() => page.url()).toContain(`a=${first}`);
  for (const [term, location] of [
    ["b", 9],
    ["c", 20],
  ] as const) {
    await page.getByRole("searchbox").fill(String(location));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: `Location ${location}` }).waitFor();
    await page.locator(`.slot[data-term=${term}]`).focus();
    await page.keyboard.press("Enter");
  }
  const body = { a: { location: first }, b: { location: 9 }, c: { location: 20 }, k: 12 };
  await strip(rows((await get(`${server.url}/v1/arithmetic`, { body })).nearest));
  await page.getByRole("tab", { name: "From a to b" }).click();
  await page.locator(".way input").fill("0");
  await expect.poll(async () => (await stripped())[0], { timeout: 15_000 }).toBe(first);
  await page.locator(".way input").fill("1");
  await expect.poll(async () => (await stripped())[0], { timeout: 15_000 }).toBe(9);
  await page.getByRole("tab", { name: "Walk" }).click();
  await strip(rows((await get(`${server.url}/v1/walk?location=20&jumps=12&among=10&seed=1`)).walk));
  await page.getByRole("button", { name: "Go", exact: true }).click();
  await page.locator("#strip .tile.hovered").waitFor();
}, 90_000);

test("a box on the map and a lasso in space select, and what is selected is a table", async () => {
  await open(`${mapState()}&tool=box`);
  const inside: number[] = [];
  const centre = await onMap(0);
  const [low, high] = [
    { x: centre.x - 120, y: centre.y - 90 },
    { x: centre.x + 120, y: centre.y + 90 },
  ];
  for (const { location } of places) {
    const { x, y } = await onMap(location);
    if (x > low.x && x < high.x && y > low.y && y < high.y) inside.push(location);
  }
  expect(inside.length).toBeGreaterThan(1);
  await drag([low, high]);
  await strip(inside);
  const text = async (download: Download) => readFile(await download.path(), "utf8");
  const [table] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "CSV" }).click(),
  ]);
  const lines = (await text(table)).trim().split("\n");
  expect(lines[0]).toMatch(/^location,lon,lat,kind,label,region,v0,.*v15$/);
  expect(lines.slice(1).map((line) => Number(line.split(",")[0]))).toEqual(inside);
  const row = (lines[1] as string).split(",").map(Number);
  expect([row[1], row[2]]).toEqual([places[inside[0] as number]?.lon, places[inside[0] as number]?.lat]);
  const [picture] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "PNG" }).click(),
  ]);
  const { width = 0, height = 0 } = await sharp(await picture.path()).metadata();
  expect(Math.min(width, height)).toBeGreaterThan(300);
  await page.getByRole("button", { name: "Lasso" }).click();
  const box = (await page.locator("#space .canvas-host").boundingBox()) as {
    x: number;
    y: number;
    width: number;
    height: number;
  };
  const corner = (x: number, y: number) => ({
    x: box.x + 2 + x * (box.width - 4),
    y: box.y + 2 + y * (box.height - 4),
  });
  await drag([corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)]);
  await expect.poll(async () => (await stripped()).length).toBeGreaterThan(LOCATIONS * 0.6);
}, 90_000);

async function drag(corners: readonly { x: number; y: number }[]): Promise<void> {
  const [first, ...others] = corners as [{ x: number; y: number }];
  await page.mouse.move(first.x, first.y);
  await page.mouse.down();
  for (const { x, y } of others) await page.mouse.move(x, y, { steps: 3 });
  await page.mouse.up();
}

test("search finds by kind and by coordinates; the address holds all, and a reload gives the same", async () => {
  await open();
  await page.getByRole("searchbox").fill("transport");
  const transport = places.filter(({ kind }) => kind === "transport").map(({ location }) => location);
  await page.getByRole("button", { name: `Select all ${transport.length}` }).click();
  await strip(transport);
  await page.locator(".toolbar select").first().selectOption("v4");
  await page.getByRole("searchbox").fill(`${places[7]?.lat}, ${places[7]?.lon}`);
  await page.keyboard.press("Enter");
  await page.locator(".chips", { hasText: "spot of the map" }).waitFor();
  await page.getByRole("button", { name: "t-SNE" }).click();
  await page.locator("#space .canvas-host[data-arrangement=tsne]").waitFor({ timeout: 60_000 });
  await expect.poll(() => page.url()).toContain("tsne");
  // The eye has come to rest, and the address says where.
  await expect.poll(() => page.url()).toContain("eye=");
  await page.waitForTimeout(500);
  const [address, heading] = [page.url(), await page.locator(".detail h2").textContent()];
  await page.reload();
  await ready(page);
  await page.locator("#space .canvas-host[data-arrangement=tsne]").waitFor({ timeout: 60_000 });
  await expect.poll(() => page.url()).toBe(address);
  expect(await page.locator(".detail h2").textContent()).toBe(heading);
  expect(await page.locator(".toolbar select").first().inputValue()).toBe("v4");
  await strip(transport);
  await page.keyboard.press("Escape");
  await page.getByRole("heading", { name: "Nothing chosen yet" }).waitFor();
}, 120_000);

test("screen readers find no serious fault, light or dark, and a phone is wide enough", async () => {
  for (const [colorScheme, size] of [
    ["light", WIDTH],
    ["dark", { width: 390, height: 844 }],
  ] as const) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await open("focus=3&a=1&strip=neighbours");
    await page.locator(".picture[data-full]").waitFor();
    // As a script of the page its policy would refuse it.
    await page.evaluate(await readFile(AXE, "utf8"));
    const { violations } = (await page.evaluate("axe.run()")) as {
      violations: { id: string; impact: string; nodes: { html: string }[] }[];
    };
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(size.width);
  }
  await page.setViewportSize(WIDTH);
}, 120_000);

test("a page that was written opens from disk, asks for nothing, and shows the same neighbours", async () => {
  const embedded = await openEmbedded(world.store, "city", "pretrained");
  const exploration = explore(embedded, world.profile);
  const file = join(home, "city.html");
  await writeFile(file, await exportPage(exploration, { methods: ["umap"] }));
  const before = asked.length;
  const alone = await browser.newPage({ viewport: WIDTH, reducedMotion: "reduce" });
  watch(alone);
  await alone.goto(`${pathToFileURL(file)}#focus=5&arrangement=umap`);
  await ready(alone);
  await alone.locator("#space .canvas-host[data-arrangement=umap]").waitFor();
  const shown = alone.locator("#strip .tile");
  const { neighbours } = await get(`${server.url}/v1/neighbours?location=5&k=12`);
  await expect
    .poll(() =>
      shown.evaluateAll((tiles) => tiles.map((tile) => Number((tile as HTMLElement).dataset.location))),
    )
    .toEqual(rows(neighbours));
  expect(asked.slice(before).filter((url) => !/^(file|blob|data):/.test(url))).toEqual([]);
  await alone.close();
}, 90_000);

test("nothing was asked of another host, and nothing was refused by the page's policy", async () => {
  expect(asked.length).toBeGreaterThan(20);
  expect(
    asked.filter((url) => !url.startsWith(`${server.url}/`) && !/^(file|blob|data|about):/.test(url)),
  ).toEqual([]);
  expect(
    troubles.filter((line) => !/GPU stall due to ReadPixels|Automatic fallback to software WebGL/.test(line)),
  ).toEqual([]);
  const { headers } = await ask(`${server.url}/`);
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
});
