// Minutes: each fault strikes a farm of its own, with servers, workers and a data set, that must get over it.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { randomOf } from "@loc2vec/core";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { FAULTS } from "./faults.ts";
import { calmRun, drawStorm, stormRun } from "./storm.ts";
import { createWorld, DATASET, type World } from "./world.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

const SEED = 7;
const SIZE = { shards: 40, locations: 16, positives: 4 };
let world: World;
let calm: Record<string, string>;

beforeAll(async () => {
  world = await createWorld(inject("python"), SEED);
  calm = await calmRun(world, SIZE);
}, 180_000);
afterAll(() => world?.close());

const WHOLE = { jobs: SIZE.shards + 1, lost: 0, duplicated: 0, bytes_equal: true };

test.each(Object.keys(FAULTS))(
  "%s: nothing is lost, nothing is done twice to another result, every byte is the same",
  async (fault) => {
    const name = `one-${Object.keys(FAULTS).indexOf(fault)}`;
    const outcome = await stormRun(world, SIZE, [fault], calm, { name, random: randomOf(SEED, 4) });
    console.log(`${fault}: ${outcome.faults[0]?.detail}; the next shard after ${outcome.recovery_s} s`);
    expect(outcome).toMatchObject(WHOLE);
  },
  300_000,
);

test("all of them in one storm, and a bit that flips after it was checked", async () => {
  const options = { name: "storm", random: randomOf(SEED, 5), thenVerify: true };
  // Long enough that there is work left when the last fault comes.
  const size = { ...SIZE, shards: 130 };
  const outcome = await stormRun(world, size, drawStorm(SEED), await calmRun(world, size), options);
  console.log(
    `storm: recovery ${outcome.recovery_s} s, ${outcome.rendered_again} shards rendered again, ${outcome.seconds} s in all`,
  );
  expect(outcome).toMatchObject({ ...WHOLE, jobs: size.shards + 1 });
  expect(outcome.faults).toHaveLength(Object.keys(FAULTS).length);
}, 600_000);

const mayMount = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), "loc2vec-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "none", folder], { stdio: "ignore" });
    execFileSync("umount", [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
})();

// Only root may make a disk that is small enough to fill.
test.runIf(mayMount)(
  "a disk that is full: jobs wait for space, then every byte is the same",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "loc2vec-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256m", "none", folder]);
    onTestFinished(() => {
      execFileSync("umount", ["-l", folder]);
      rmSync(folder, { recursive: true });
    });
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, "store"));
    const place = world.place("disk", pathToFileURL(join(folder, "store")).href);
    await place.enqueue(SIZE);
    const filler = join(folder, "filler");
    const fill = (): void => {
      for (const size of [1 << 26, 1 << 20, 1 << 12]) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: "a" });
        } catch {}
      }
    };
    const pool = place.workers(2);
    try {
      while (((await place.status())?.done ?? 0) < 3) await sleep(100);
      fill();
      while (!/no space left on the disk/.test(pool.output)) await sleep(100);
      rmSync(filler);
      for (;;) {
        const status = await place.status();
        if (status?.complete) break;
        if (status && status.failed > 0) await place.farm("retry", "--dataset", DATASET);
        await sleep(200);
      }
    } finally {
      await pool.stop();
    }
    const hashes = await place.hashes();
    const digest = (value: object): string =>
      createHash("sha256").update(JSON.stringify(value)).digest("hex");
    expect(Object.keys(hashes)).toEqual(Object.keys(calm));
    expect(digest(hashes)).toBe(digest(calm));
  },
  300_000,
);
