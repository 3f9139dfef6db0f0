import { writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { type ObjectStore, openStore } from "@loc2vec/shards";
import { describe, expect, onTestFinished, test } from "vitest";
import { testStores } from "../../../test/support/stores.ts";
import { writeStripes } from "../../../test/support/stripes.ts";
import { listCheckpoints, readHistory, train } from "../src/index.ts";
import { acquireLease, type Lease } from "../src/lease.ts";

const stores = testStores("lease");

const WHAT = { what: "model m", purpose: "training" };
const HOUR = 3_600_000;

/** The newest lease under a prefix, and its key. */
async function leaseOf(store: ObjectStore, prefix: string) {
  const key = (await Array.fromAsync(store.list(`${prefix}/lease/`))).sort().at(-1) as string;
  return { key, lease: JSON.parse(new TextDecoder().decode(await store.get(key))) };
}

const write = (store: ObjectStore, key: string, value: unknown) =>
  store.put(key, new TextEncoder().encode(JSON.stringify(value)));

/** A lease as a process of another machine has it, renewed so long ago by its clock. */
const foreign = (agoMs: number, changes: object = {}) => ({
  version: 1,
  holder: "00000000-0000-4000-8000-000000000001",
  host: "elsewhere",
  pid: 7,
  place: "elsewhere 1 pid:[1]",
  started: "9",
  since: "2026-01-02T03:04:05.000Z",
  renewed: new Date(Date.now() - agoMs).toISOString(),
  renewals: 3,
  released: false,
  ...changes,
});

describe.each(["a folder", "S3"])("in %s", (kind) => {
  const open = (name: string): { store: ObjectStore; prefix: string } => ({
    store:
      kind === "S3"
        ? openStore("s3://lease/store", { endpoint: stores.endpoint })
        : openStore(pathToFileURL(join(stores.folder, "store")).href),
    prefix: `models/${name}`,
  });
  const take = async (
    { store, prefix }: { store: ObjectStore; prefix: string },
    options: { leaseMs?: number; waitMs?: number; onWait?: (line: string) => void } = {},
  ): Promise<Lease> => {
    const lease = await acquireLease(store, `${prefix}/lease`, { ...WHAT, ...options });
    onTestFinished(() => lease.release());
    return lease;
  };

  test("of many at once exactly one has it; when it lets go, the next", async () => {
    const place = open("many");
    for (let round = 1; round <= 2; round++) {
      const all = await Promise.allSettled(Array.from({ length: 6 }, () => take(place)));
      const had = all.filter((taken) => taken.status === "fulfilled");
      expect(had).toHaveLength(1);
      const refused = all.filter((taken) => taken.status === "rejected");
      expect(refused).toHaveLength(5);
      for (const { reason } of refused) {
        expect(reason).toMatchObject({
          kind: "data",
          code: "lease-held",
          message: expect.stringMatching(
            new RegExp(
              `^model m in .*: another training holds it since \\d{4}-.*Z: process ${process.pid} on ${hostname()}, heard of \\d+ s ago$`,
            ),
          ),
          mend: `wait for it or stop it; one that was killed is passed over 90 s after it was last heard of, or when you remove models/many/lease/00000000${round}.json`,
        });
      }
      await had[0]?.value.confirm();
      await had[0]?.value.release();
      expect(await Array.fromAsync(place.store.list("models/many/"))).toHaveLength(1);
    }
  });

  test("a process of this machine that has ended is passed over at once, one that runs is not", async () => {
    const place = open("here");
    const first = await take(place);
    const { key, lease } = await leaseOf(place.store, place.prefix);
    await first.release();
    // As a process that was killed leaves it; its number may have gone to another since.
    for (const changes of [{ started: "1" }, { pid: 2 ** 22 + 1 }]) {
      await write(place.store, key, { ...lease, ...changes });
      const begin = performance.now();
      await (await take(place)).release();
      expect(performance.now() - begin).toBeLessThan(10_000);
    }
    const { key: last } = await leaseOf(place.store, place.prefix);
    await write(place.store, last, { ...lease, renewed: new Date().toISOString() });
    await expect(take(place)).rejects.toMatchObject({ kind: "data" });
  });

  test("one of another machine lapses when it is not renewed, whatever its clock says", async () => {
    const place = open("there");
    const key = "models/there/lease/000000004.json";
    const leaseMs = 1200;
    await write(place.store, key, foreign(0));
    await expect(take(place, { leaseMs })).rejects.toThrowError(
      /another training holds it since 2026-01-02T03:04:05.000Z: process 7 on elsewhere, heard of 0 s ago/,
    );
    const begin = performance.now();
    const told: string[] = [];
    const onWait = (line: string): void => void told.push(line);
    await (await take(place, { leaseMs, waitMs: 60_000, onWait })).release();
    expect(told).toEqual([
      "model m: another training (process 7 on elsewhere, heard of 0 s ago) may still live: waiting for a sign of it",
    ]);
    expect(performance.now() - begin).toBeGreaterThan(1.5 * leaseMs);
    expect((await leaseOf(place.store, place.prefix)).key).toBe("models/there/lease/000000005.json");

    // Dead, its clock an hour behind or ahead: watched, then had.
    for (const ago of [HOUR, -HOUR]) {
      await write(place.store, "models/there/lease/000000009.json", foreign(ago));
      const watched = performance.now();
      await (await take(place, { leaseMs })).release();
      expect(performance.now() - watched).toBeGreaterThan(leaseMs / 2 - 20);
      await place.store.remove("models/there/lease/000000010.json");
    }
    // Alive, its clock an hour behind.
    let taken = false;
    const living = (async () => {
      for (let renewals = 4; !taken; renewals++) {
        await write(place.store, "models/there/lease/000000009.json", foreign(HOUR, { renewals }));
        await sleep(100);
      }
    })();
    await sleep(300);
    await expect(take(place, { leaseMs: 3000 })).rejects.toThrowError(/process 7 on elsewhere/);
    taken = true;
    await living;
  });

  test("it is renewed; taken over or removed, its holder learns of it before it writes", async () => {
    const place = open("lost");
    const lease = await take(place, { leaseMs: 600 });
    const before = (await leaseOf(place.store, place.prefix)).lease;
    await sleep(700);
    const after = (await leaseOf(place.store, place.prefix)).lease;
    expect(after.renewals).toBeGreaterThan(before.renewals);
    expect(Date.parse(after.renewed)).toBeGreaterThan(Date.parse(before.renewed));
    expect(after.since).toBe(before.since);
    await lease.check();

    await write(place.store, "models/lost/lease/000000002.json", foreign(0));
    const told = {
      kind: "data",
      message: expect.stringMatching(/no longer holds it: process 7 on elsewhere/),
    };
    await expect(lease.confirm()).rejects.toMatchObject(told);
    expect(lease.lost.reason).toMatchObject(told);
    await expect(lease.check()).rejects.toMatchObject(told);
    await lease.release();
    expect(await Array.fromAsync(place.store.list("models/lost/"))).toEqual([
      "models/lost/lease/000000002.json",
    ]);

    const other = await take(open("removed"));
    await place.store.remove("models/removed/lease/000000001.json");
    await expect(other.confirm()).rejects.toThrowError(/lease\/000000001\.json is gone/);
  });

  test("a damaged one is named", async () => {
    const place = open("bad");
    await place.store.put("models/bad/lease/000000001.json", new TextEncoder().encode('{"version": 1,'));
    await expect(take(place)).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(/^models\/bad\/lease\/000000001\.json in .*JSON/),
      mend: expect.stringMatching(/^remove it/),
    });
  });
});

test("two trainings of one model: the second is refused; one that lost the model stops and writes nothing", async () => {
  const store = openStore(pathToFileURL(join(stores.folder, "trained")).href);
  await writeStripes(store);
  const given = {
    ...{ store, dataset: "stripes", seed: 3, batch: { locations: 6, pairs: 3 }, checkpointEvery: 4 },
    ...{ minDistanceM: 0, holdout: { share: 0, cellM: 1000, borderM: 0 } },
  };
  const refused: unknown[] = [];
  let second: Promise<unknown> | undefined;
  await train({
    ...given,
    model: "once",
    steps: 8,
    onStep: ({ step }) => {
      if (step === 2)
        second = train({ ...given, model: "once", steps: 8 }).catch((error) => refused.push(error));
    },
  });
  await second;
  expect(refused).toEqual([
    expect.objectContaining({ kind: "data", message: expect.stringMatching(/another training holds it/) }),
  ]);
  expect(await train({ ...given, model: "once", steps: 8 })).toMatchObject({ step: 8, resumedFrom: 8 });

  const lost = train({
    ...given,
    model: "lost",
    steps: 40,
    // At once: the training does not wait for it.
    onStep: ({ step }) => {
      const file = join(stores.folder, "trained/models/lost/lease/000000002.json");
      if (step === 6) writeFileSync(file, JSON.stringify(foreign(0)));
    },
  });
  await expect(lost).rejects.toMatchObject({
    kind: "data",
    message: expect.stringMatching(
      /^model lost in .* no longer holds it: process 7 on elsewhere took it over/,
    ),
  });
  expect(await listCheckpoints(store, "lost")).toEqual([4]);
  expect(await readHistory(store, "lost")).toHaveLength(4);
  expect(await store.head("models/lost/model.json")).toBeUndefined();
});
