// Takes half a minute: a worker asks a Redis that refuses again only after seconds, and that is waited for.

import { setTimeout as sleep } from "node:timers/promises";
import { closeRedis, connectRedis, OPEN_STATES, openQueues, shardsInState } from "@loc2vec/queue";
import { listShards, storeIdentity } from "@loc2vec/shards";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import { startRedis, stop } from "../../queue/test/helpers.ts";
import { type RunWorkerOptions, runWorker, type WorkerSummary } from "../src/index.ts";
import { datasetOf, enqueue, type Farm, freshFarm } from "./helpers.ts";
import { stripes } from "./rasterizer.ts";

type Admin = Awaited<ReturnType<typeof connectRedis>>;

/** A farm with a Redis of its own, and a connection that does as it likes with it. */
async function farmOfItsOwn(): Promise<{ farm: Farm; admin: Admin; port: number }> {
  const shared = await freshFarm();
  const port = await freePort();
  const server = await startRedis(port, []);
  onTestFinished(() => stop(server));
  const redisUrl = `redis://127.0.0.1:${port}`;
  const admin = await connectRedis(redisUrl);
  const queues = await openQueues({ redisUrl, prefix: "farm", store: await storeIdentity(shared.store) });
  onTestFinished(async () => {
    await queues.close();
    await closeRedis(admin);
  });
  return { farm: { ...shared, redisUrl, prefix: "farm", queues }, admin, port };
}

function run(farm: Farm, options: Partial<RunWorkerOptions> = {}): Promise<WorkerSummary> {
  const { redisUrl, prefix, store } = farm;
  return runWorker({ redisUrl, prefix, store, rasterizer: stripes(), until: "empty", ...options });
}

const commands = async (admin: Admin): Promise<number> =>
  Number(/^total_commands_processed:(\d+)/m.exec(await admin.info("stats"))?.[1]);

const spoiling: readonly (readonly [
  string,
  (admin: Admin) => Promise<unknown>,
  (admin: Admin) => Promise<unknown>,
])[] = [
  ["READONLY", (admin) => admin.replicaof("127.0.0.1", 1), (admin) => admin.replicaof("NO", "ONE")],
  ["OOM", (admin) => admin.config("SET", "maxmemory", "1"), (admin) => admin.config("SET", "maxmemory", "0")],
  [
    "NOREPLICAS",
    (admin) => admin.config("SET", "min-replicas-to-write", "1"),
    (admin) => admin.config("SET", "min-replicas-to-write", "0"),
  ],
  [
    // Not even reading: LOADING, MASTERDOWN and rights that were taken away look like this.
    "NOPERM",
    (admin) => admin.call("ACL", "SETUSER", "default", "-evalsha", "-eval", "-bzpopmin"),
    (admin) => admin.call("ACL", "SETUSER", "default", "+@all"),
  ],
];

test.each(spoiling)(
  "%s while a worker works: it waits, asks now and then, tells it once, and then does all the rest",
  async (code, spoil, mend) => {
    const { farm, admin, port } = await farmOfItsOwn();
    const dataset = datasetOf({ locations: 24 });
    await enqueue(farm, dataset);
    const troubles: string[] = [];
    let spoiled: Promise<unknown> | undefined;
    const done = run(farm, {
      // What was being done when Redis refused comes back after this time.
      lockMs: 2000,
      onTrouble: (line) => troubles.push(line),
      rasterizer: stripes(async () => {
        spoiled ??= spoil(admin);
        await spoiled;
      }),
    });
    await expect.poll(() => troubles.length, { timeout: 15_000 }).toBe(1);
    expect(troubles[0]).toMatch(new RegExp(`^Redis at 127.0.0.1:${port}: ${code} .* \\(mend: `));
    const before = await commands(admin);
    await sleep(3000);
    // BullMQ by itself: tens of thousands. Here a trial now and then, and the look whether all is done.
    expect((await commands(admin)) - before).toBeLessThan(600);
    expect(troubles).toHaveLength(1);
    await mend(admin);
    const summary = await done;
    expect(summary).toMatchObject({ failed: 0, left: [], interrupted: false });
    expect((await listShards(farm.store, dataset)).size).toBe(6);
    expect((await shardsInState(farm.queues, "city", OPEN_STATES)).size).toBe(0);
    expect(troubles).toHaveLength(1);
  },
);

test("a worker that waits for Redis ends with its signal", async () => {
  const { farm, admin } = await farmOfItsOwn();
  await enqueue(farm, datasetOf());
  const stopped = new AbortController();
  let told = false;
  const done = run(farm, {
    until: "forever",
    signal: stopped.signal,
    graceMs: 500,
    onTrouble: () => {
      told = true;
    },
    rasterizer: stripes(async () => void (await admin.config("SET", "min-replicas-to-write", "1"))),
  });
  await expect.poll(() => told, { timeout: 15_000 }).toBe(true);
  const begin = performance.now();
  stopped.abort();
  expect(await done).toMatchObject({ interrupted: true });
  expect(performance.now() - begin).toBeLessThan(7000);
});

test("a worker that starts on a Redis that refuses does not start", async () => {
  const { farm, admin } = await farmOfItsOwn();
  await admin.config("SET", "min-replicas-to-write", "1");
  await expect(run(farm)).rejects.toMatchObject({
    kind: "service",
    message: expect.stringContaining("NOREPLICAS"),
  });
});
