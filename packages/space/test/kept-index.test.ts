import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type KeptNeighbours, openKeptNeighbours, openNeighbours } from "../src/index.ts";
import { clouds, grid } from "./clouds.ts";

const ROWS = 600;
const SIZE = 16;
const { vectors } = clouds(ROWS, SIZE, 20);
const FILES = ["index.json", "index.usearch"];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "kept-index-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "a/b");
}

/** Opened with a small threshold; closed after the test. */
async function open(
  folder: string | undefined,
  of: Float32Array = vectors,
  indexedFrom = ROWS,
): Promise<{ neighbours: KeptNeighbours; first: string; lines: string[] }> {
  const lines: string[] = [];
  const places = grid(of.length / SIZE, 100);
  const log = (line: string) => void lines.push(line.replace(/in \d+\.\d s/, "in … s"));
  const neighbours = await openKeptNeighbours(of, SIZE, { places, folder, indexedFrom, log });
  onTestFinished(() => neighbours.close());
  const first = neighbours.method;
  await neighbours.settled;
  return { neighbours, first, lines };
}

const nearestOf = (neighbours: KeptNeighbours): number[][] =>
  Array.from({ length: 50 }, (_, row) => neighbours.nearest(row, 10).map((each) => each.row));

test("vectors are scanned while the index is built, which the next start takes as it is", async () => {
  const folder = await newFolder();
  const begun = await openKeptNeighbours(vectors, SIZE, { folder, indexedFrom: ROWS, log: () => {} });
  const exact = nearestOf(begun);
  expect(begun.method).toBe("exact");
  expect(exact).toEqual(
    nearestOf((await openNeighbours(vectors, SIZE, { method: "exact" })) as KeptNeighbours),
  );
  await begun.settled;
  expect(begun.method).toBe("hnsw");
  const indexed = nearestOf(begun);
  const hits = indexed.flat().filter((row, i) => exact[Math.floor(i / 10)]?.includes(row)).length;
  expect(hits / 500).toBeGreaterThan(0.99);
  expect(await readdir(folder)).toEqual(FILES);
  const before = await readFile(join(folder, "index.usearch"));
  const { neighbours, first, lines } = await open(folder);
  expect([first, neighbours.method]).toEqual(["hnsw", "hnsw"]);
  expect(lines).toEqual([`neighbours: the index of ${ROWS} vectors is that in ${folder}`]);
  expect(nearestOf(neighbours)).toEqual(indexed);
  expect(await readFile(join(folder, "index.usearch"))).toEqual(before);
  // Other rows of the same table are asked about as before.
  expect(neighbours.nearest(3, 4, { minDistanceM: 500 })).toHaveLength(4);
});

test("an index that does not fit, or is not whole, is built anew, with the reason", {
  timeout: 120_000,
}, async () => {
  const folder = await newFolder();
  const file = (name: string): string => join(folder, name);
  await open(folder);
  const [about, index] = await Promise.all(FILES.map((name) => readFile(file(name))));
  const damaged = Buffer.from(index as Buffer);
  damaged[damaged.length - 100] = (damaged[damaged.length - 100] as number) ^ 1;
  const described = JSON.parse(String(about));
  const other = { ...described, settings: { ...described.settings, links: 8 } };
  for (const [spoil, why] of [
    [() => writeFile(file("index.usearch"), damaged), "is damaged"],
    [() => writeFile(file("index.usearch"), (index as Buffer).subarray(0, 500)), "is damaged"],
    [() => rm(file("index.usearch")), "lacks its file"],
    [() => writeFile(file("index.json"), JSON.stringify(other)), "was built with other settings"],
    [() => writeFile(file("index.json"), "{"), /cannot be read \(.*JSON.*\)/],
  ] as const) {
    await spoil();
    const { neighbours, first, lines } = await open(folder);
    expect([first, neighbours.method]).toEqual(["exact", "hnsw"]);
    expect(lines).toEqual([
      expect.stringMatching(
        new RegExp(
          `^neighbours: the index in ${folder} ${typeof why === "string" ? why : why.source}: it is built again$`,
        ),
      ),
      `neighbours: ${ROWS} vectors are being indexed; until that is done all are looked at`,
      `neighbours: indexed in … s, kept in ${folder}`,
    ]);
    expect((await open(folder)).first).toBe("hnsw");
  }
  const moved = vectors.map((value, i) => (i === 5 ? value + 1 : value));
  const { lines } = await open(folder, moved);
  expect(lines[0]).toBe(`neighbours: the index in ${folder} is of other vectors: it is built again`);
  expect((await open(folder, moved)).first).toBe("hnsw");
});

test("what a killed process has left goes, once it is old", async () => {
  const folder = await newFolder();
  await open(folder);
  await rm(join(folder, "index.json"));
  for (const [name, hours] of [
    [".index.usearch.old", 25],
    [".index.usearch.new", 1],
  ] as const) {
    await writeFile(join(folder, name), "x");
    const then = new Date(Date.now() - hours * 3600 * 1000);
    await utimes(join(folder, name), then, then);
  }
  await open(folder);
  expect((await readdir(folder)).sort()).toEqual([".index.usearch.new", ...FILES]);
});

test("few rows are scanned, and nothing is kept; without a folder an index goes with the process", async () => {
  const folder = await newFolder();
  const few = await open(folder, vectors, ROWS + 1);
  expect([few.neighbours.method, few.lines]).toEqual(["exact", []]);
  await expect(readdir(folder)).rejects.toThrow(/ENOENT/);
  const { neighbours, lines } = await open(undefined);
  expect(neighbours.method).toBe("hnsw");
  expect(lines[1]).toBe("neighbours: indexed in … s");
});

test("where the index cannot be kept, or is stopped, vectors are scanned and nothing is left", async () => {
  const folder = await newFolder();
  const parent = join(folder, "..");
  await writeFile(parent, "a file");
  const { neighbours, lines } = await open(folder);
  expect(neighbours.method).toBe("exact");
  expect(lines.at(-1)).toMatch(/^neighbours: no index, all vectors are looked at: E(NOTDIR|EXIST)/);
  await rm(parent);
  const log = (line: string) => void lines.push(line);
  const many = clouds(40_000, SIZE, 20).vectors;
  const stopped = await openKeptNeighbours(many, SIZE, { folder, indexedFrom: ROWS, log });
  await stopped.close();
  expect(stopped.method).toBe("exact");
  expect(stopped.nearest(0, 3)).toHaveLength(3);
  expect(await readdir(folder)).toEqual([]);
});
