import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, inject, onTestFinished, test } from "vitest";
import { CREDENTIALS, startMoto } from "../../../test/support/moto.ts";
import { type ObjectStore, openStore, STORE_KEY, storeIdentity } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

/** Opens a store anew each time, as another process does. */
type Open = () => ObjectStore;

async function inFolder(): Promise<Open> {
  const folder = await mkdtemp(join(tmpdir(), "identity-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return () => openStore(pathToFileURL(folder).href);
}

async function inBuckets(): Promise<[Open, Open]> {
  Object.assign(process.env, CREDENTIALS);
  const { endpoint, stop } = await startMoto(inject("python"), "tiles");
  onTestFinished(stop);
  return [() => openStore("s3://tiles/one", { endpoint }), () => openStore("s3://tiles/two", { endpoint })];
}

test.each([
  ["folders", async () => [await inFolder(), await inFolder()] as const],
  ["prefixes of a bucket", inBuckets],
])(
  "two %s have two identities, each its own for good, also for many that ask first at once",
  async (_, open) => {
    const [one, two] = await open();
    const asked = await Promise.all(Array.from({ length: 8 }, () => storeIdentity(one())));
    expect(new Set(asked).size).toBe(1);
    expect(asked[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(await storeIdentity(one())).toBe(asked[0]);
    expect(await storeIdentity(two())).not.toBe(asked[0]);
  },
);

test("an identity that is no such thing is refused by name, not replaced", async () => {
  const store = (await inFolder())();
  for (const text of ["", "null", "[]", '{"id":"../x"}', '{"id":7}']) {
    await store.put(STORE_KEY, new TextEncoder().encode(text));
    await expect(storeIdentity(store), text).rejects.toMatchObject({
      kind: "data",
      message: expect.stringContaining(STORE_KEY),
    });
  }
});
