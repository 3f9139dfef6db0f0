import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FarmError } from "@loc2vec/core";
import { expect, onTestFinished, test } from "vitest";
import {
  choosePassword,
  hostName,
  isForeign,
  isLoopback,
  samePassword,
  shownPassword,
} from "../src/access.ts";

const server = { name: "board", setting: "FARM_BOARD_PASSWORD" };
const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

test("a password is compared as a whole", () => {
  expect(samePassword("sésame", "sésame")).toBe(true);
  for (const wrong of ["", "sesame", "sésame ", "sésam", "SÉSAME", "sésame\0", "x".repeat(1 << 20)])
    expect(samePassword(wrong, "sésame"), wrong.slice(0, 20)).toBe(false);
});

test("a header shows a password, none, or one that is never right", () => {
  expect(shownPassword(undefined)).toBeUndefined();
  expect(shownPassword(basic("me:sé:same"))).toBe("sé:same");
  expect(shownPassword(basic(":sesame").replace("Basic", "bASIC "))).toBe("sesame");
  expect(shownPassword("Bearer sesame")).toBe("sesame");
  for (const header of [
    "",
    "Basic",
    "Basic ",
    "Bearer",
    "Digest sesame",
    "sesame",
    basic("sesame"),
    "Basic ====",
  ])
    expect(shownPassword(header), header).toBe("");
});

test("only names and addresses of this machine are", () => {
  for (const host of ["localhost", "LOCALHOST", "board.localhost", "127.0.0.1", "127.9.9.9", "::1"])
    expect(isLoopback(host), host).toBe(true);
  for (const host of [
    "",
    "0.0.0.0",
    "::",
    "128.0.0.1",
    "10.0.0.1",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
    "::2",
  ])
    expect(isLoopback(host), host).toBe(false);
});

test("a Host header names a host", () => {
  expect(hostName("localhost:3000")).toBe("localhost");
  expect(hostName("[::1]:3000")).toBe("::1");
  expect(hostName("Farm.example")).toBe("farm.example");
  for (const header of [undefined, "", "::::", "a b"]) expect(hostName(header)).toBe("");
  expect(isLoopback(hostName("evil.example@127.0.0.1"))).toBe(true); // No browser sends a user in it.
});

test("what changes something comes from the board's own pages", () => {
  const host = "farm.example";
  for (const headers of [
    { "sec-fetch-site": "same-origin" },
    { "sec-fetch-site": "none" },
    { origin: "https://farm.example" },
    { "sec-fetch-site": "same-origin", origin: "null" },
  ])
    expect(isForeign({ host, ...headers }), JSON.stringify(headers)).toBe(false);
  for (const headers of [
    {},
    { origin: "null" },
    { origin: "https://evil.example" },
    { origin: "https://farm.example.evil.example" },
    { origin: "https://farm.example:8443" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site", origin: "https://farm.example" },
  ])
    expect(isForeign({ host, ...headers }), JSON.stringify(headers)).toBe(true);
});

async function refusal(action: Promise<unknown>): Promise<FarmError> {
  const error = await action.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(FarmError);
  return error as FarmError;
}

test("without a good password no other machine gets in", async () => {
  const log = (): void => {};
  for (const host of ["0.0.0.0", "::", "10.1.2.3", "farm.example"]) {
    for (const password of [undefined, "", "eleven char"]) {
      const error = await refusal(
        choosePassword({ server, host, password, passwordFile: "/nonexistent/x", log }),
      );
      expect(error.kind).toBe("usage");
      expect(error.mend).toContain("FARM_BOARD_PASSWORD");
      expect(error.line).not.toContain("eleven char");
    }
    expect(await choosePassword({ server, host, password: "twelve chars", log })).toBe("twelve chars");
  }
  expect(await choosePassword({ server, host: "127.0.0.1", password: "short", log })).toBe("short");
  expect((await refusal(choosePassword({ server, host: "127.0.0.1", log }))).mend).toContain(
    "FARM_BOARD_PASSWORD",
  );
});

test("on this machine a random password is made, kept, and never told", async () => {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-board-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const passwordFile = join(folder, "deep/board.password");
  const lines: string[] = [];
  const options = { server, host: "127.0.0.1", passwordFile, log: (line: string) => void lines.push(line) };
  // Two boards that start at once agree.
  const [first, second] = await Promise.all([choosePassword(options), choosePassword(options)]);
  expect(first).toMatch(/^[\w-]{32}$/);
  expect(second).toBe(first);
  expect(await choosePassword(options)).toBe(first);
  expect((await stat(passwordFile)).mode & 0o777).toBe(0o600);
  expect((await readFile(passwordFile, "utf8")).trim()).toBe(first);
  expect(await readdir(join(folder, "deep"))).toEqual(["board.password"]);
  expect(lines.join()).toContain(passwordFile);
  expect(lines.join()).not.toContain(first);

  await writeFile(passwordFile, "x\n");
  expect((await refusal(choosePassword(options))).mend).toContain("remove it");
  // Others could have read it, or written it.
  await writeFile(passwordFile, "known to everybody\n");
  await chmod(passwordFile, 0o644);
  const open = await refusal(choosePassword(options));
  expect(open.kind).toBe("usage");
  expect(open.line).toContain(passwordFile);
  expect((await refusal(choosePassword({ ...options, passwordFile: join(passwordFile, "x") }))).kind).toBe(
    "usage",
  );
});
