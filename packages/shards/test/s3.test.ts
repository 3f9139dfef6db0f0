import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { CREDENTIALS, startMoto } from "../../../test/support/moto.ts";
import { type ObjectStore, openStore } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

let moto: Awaited<ReturnType<typeof startMoto>>;
let endpoint: string;
let store: ObjectStore;

beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  moto = await startMoto(inject("python"), "tiles");
  ({ endpoint } = moto);
  store = openStore("s3://tiles/some/prefix", { endpoint });
});
afterAll(() => moto.stop());

test("objects come and go as in a folder", async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
  expect(await store.put("a/b", bytes)).toBe(true);
  expect(await store.get("a/b")).toEqual(bytes);
  expect(await store.getRange("a/b", { offset: 10, length: 3 })).toEqual(Uint8Array.of(10, 11, 12));
  expect(await store.getRange("a/b", { offset: 998, length: 30 })).toEqual(
    Uint8Array.of(998 & 255, 999 & 255),
  );
  expect(await store.getRange("a/b", { suffix: 2 })).toEqual(Uint8Array.of(998 & 255, 999 & 255));
  expect(await store.head("a/b")).toEqual({ size: 1000 });
  expect(await store.put("a/b", Uint8Array.of(1), { ifAbsent: true })).toBe(false);
  expect(await store.put("a/new", Uint8Array.of(1), { ifAbsent: true })).toBe(true);
  expect([await store.get("no"), await store.getRange("no", { suffix: 1 }), await store.head("no")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  await store.remove("a/b");
  await store.remove("a/b");
  expect(await store.get("a/b")).toBeUndefined();
  expect(await openStore("s3://tiles", { endpoint }).get("some/prefix/a/new")).toEqual(Uint8Array.of(1));
});

test.each([
  ["s3://tiles/100%25done", "100%done"],
  ["s3://tiles/a b", "a b"],
  ["s3://tiles/a%20b%2Bc/", "a b+c"],
  ["s3://tiles//Überall//東京/😀", "Überall/東京/😀"],
  ["s3://tiles/<&>\"'`{}|^", "<&>\"'`{}|^"],
  ["s3://tiles/%3Fa=b%23c", "?a=b#c"],
  ["s3://tiles/%2541", "%41"],
  ["s3://tiles/team@corp:x;y=1,2!*()[]~$", "team@corp:x;y=1,2!*()[]~$"],
  ["s3://tiles/back\\slash", "back\\slash"],
  ["S3://tiles/upper", "upper"],
])("any character in the prefix, and lists that come back: %s", async (url, prefix) => {
  const odd = openStore(url, { endpoint });
  await odd.put("a/b.c", Uint8Array.of(7));
  const keys: string[] = [];
  for await (const key of odd.list("a")) keys.push(key);
  expect(keys).toEqual(["a/b.c"]);
  expect(await odd.getRange("a/b.c", { offset: 0, length: 1 })).toEqual(Uint8Array.of(7));
  const all: string[] = [];
  for await (const key of openStore("s3://tiles", { endpoint }).list("")) all.push(key);
  expect(all).toContain(`${prefix}/a/b.c`);
  await odd.remove("a/b.c");
  expect(await odd.head("a/b.c")).toBeUndefined();
});

test("more keys than one answer lists", async () => {
  for (let from = 0; from < 1050; from += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => store.put(`many/${from + i}`, Uint8Array.of(0))));
  }
  const keys = new Set<string>();
  for await (const key of store.list("many/")) keys.add(key);
  expect(keys.size).toBe(1050);
  expect(keys.has("many/1049")).toBe(true);
});

test("a bucket that is not there, and an endpoint that does not answer, are one line with a mend, soon", async () => {
  await expect(openStore("s3://nothing-here", { endpoint }).get("a")).rejects.toMatchObject({
    kind: "service",
    message: expect.stringContaining("nothing-here"),
  });
  const started = performance.now();
  await expect(openStore("s3://tiles", { endpoint: "http://127.0.0.1:9" }).get("a")).rejects.toMatchObject({
    kind: "service",
    message: expect.stringContaining("bucket tiles at http://127.0.0.1:9"),
    mend: expect.stringMatching(/./),
  });
  expect(performance.now() - started).toBeLessThan(20_000);
});

test("URLs that name no store are refused", () => {
  for (const url of [
    "ftp://a/b",
    "s3://Bad_Bucket/x",
    "s3://key:secret@bucket",
    "file://host/path",
    "nonsense",
  ]) {
    expect(() => openStore(url)).toThrowError(/object store/);
  }
});
