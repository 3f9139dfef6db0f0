import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { readConfig } from "@loc2vec/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileError } from "../src/file-store.ts";
import { openStore } from "../src/index.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "file-store-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const bytes = Uint8Array.of(1, 2, 3);

test.each([
  "a b",
  "100%done",
  "%41",
  "a#b?c",
  "Überall 東京 😀",
  `'"$x;&|<>`,
  "back\\slash",
  "trailing/",
  "~",
])("a home named %s: the store in it takes objects and lists them", async (name) => {
  const home = join(folder, name);
  const store = openStore(readConfig("/", { FARM_HOME: home }).store);
  await store.put("a/b.c", bytes);
  const keys: string[] = [];
  for await (const key of store.list("a")) keys.push(key);
  expect(keys).toEqual(["a/b.c"]);
  expect(await openStore(pathToFileURL(join(home, "store")).href).get("a/b.c")).toEqual(bytes);
});

const refused = (code: string, what: RegExp, mend: RegExp) => ({
  kind: "service",
  exitCode: 4,
  message: expect.stringMatching(new RegExp(`^cannot (?:read|write|list|remove) /.*: .*\\(${code}\\)$`)),
  line: expect.stringMatching(what),
  mend: expect.stringMatching(mend),
});

test("a name that is too long, and links in a circle", async () => {
  const store = openStore(pathToFileURL(folder).href);
  // 200 letters, which every key may have, of two bytes each.
  await expect(store.put("ü".repeat(200), bytes)).rejects.toMatchObject(
    refused("ENAMETOOLONG", /too long/, /shorter/),
  );
  await symlink("b", join(folder, "a"));
  await symlink("a", join(folder, "b"));
  await expect(store.get("a")).rejects.toMatchObject(refused("ELOOP", /circle/, /FARM_STORE/));
});

test("a folder that this user may not enter", async () => {
  const root = process.getuid?.() === 0;
  await mkdir(join(folder, "closed"));
  await chmod(folder, 0o755);
  await chmod(join(folder, "closed"), 0);
  const store = openStore(pathToFileURL(join(folder, "closed")).href);
  if (root) process.seteuid?.(65534);
  try {
    await expect(store.get("a")).rejects.toMatchObject(refused("EACCES", /permission denied/, /access/));
    await expect(store.put("a", bytes)).rejects.toMatchObject(
      refused("EACCES", /permission denied/, /access/),
    );
  } finally {
    if (root) process.seteuid?.(0);
    await chmod(join(folder, "closed"), 0o700);
  }
});

test("a process that has too many files open", async () => {
  const script = `
    import { openSync } from "node:fs";
    import { openStore } from ${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)};
    const store = openStore(process.argv[1]);
    await store.put("a", Uint8Array.of(1));
    try { for (;;) openSync("/dev/null"); } catch {}
    const error = await store.get("a").catch((thrown) => thrown);
    console.log(JSON.stringify({ ...error, exitCode: error.exitCode, message: error.message, line: error.line }));
  `;
  const { stdout } = await promisify(execFile)("sh", [
    ...["-c", 'ulimit -n 100 && exec "$0" "$@"', process.execPath],
    ...["--input-type=module", "-e", script, pathToFileURL(folder).href],
  ]);
  expect(JSON.parse(stdout)).toMatchObject(refused("EMFILE", /too many files/, /ulimit/));
});

test.each<[string, RegExp]>([
  ["ENOSPC", /free some space/],
  ["EDQUOT", /free some space/],
  ["EROFS", /can be written/],
  ["EIO", /dmesg.*farm:verify/],
  ["ESTALE", /mount it again/],
  ["ETIMEDOUT", /file server/],
  ["ENOTCONN", /mount it again/],
  ["ENFILE", /ulimit/],
])("%s, which no test can bring about everywhere, is said with its code and a mend", (code, mend) => {
  const error = Object.assign(new Error(`${code}: words of libuv, read`), { code });
  expect(fileError("read", "/data/a", error)).toMatchObject(refused(code, /^cannot read \/data\/a: /, mend));
});
