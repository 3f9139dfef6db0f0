import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FarmError } from "@loc2vec/core";
import { expect, onTestFinished, test } from "vitest";
import { chooseInstallation, installations } from "../src/postgres.ts";

const installed = (...versions: [major: number, postgis: boolean][]) =>
  versions.map(([major, postgis]) => ({ bin: `/${major}`, major, postgis }));

function refusal(versions: ReturnType<typeof installed>, madeBy?: number): FarmError {
  try {
    chooseInstallation(versions, "/data", madeBy);
  } catch (error) {
    return error as FarmError;
  }
  throw new Error("one was chosen");
}

test("the newest PostgreSQL with PostGIS is taken for new data, and that which made them for others", () => {
  expect(chooseInstallation(installed([17, false], [16, true], [15, true]), "/data").major).toBe(16);
  expect(chooseInstallation(installed([17, true], [15, true]), "/data", 15).major).toBe(15);
});

test("what is missing is named, with the package that brings it", () => {
  expect(refusal(installed())).toMatchObject({ code: "missing" });
  expect(refusal(installed()).mend).toMatch(/apt-get install .*postgis/);
  expect(refusal(installed([17, false])).code).toBe("postgis-missing");
  expect(refusal(installed([17, false])).mend).toContain("postgresql-17-postgis-3");
  const upgraded = refusal(installed([17, true], [16, true]), 15);
  expect(upgraded.message).toBe("/data: made by PostgreSQL 15, but installed is 17, 16");
  expect(upgraded.mend).toContain("postgresql-15-postgis-3");
});

test("a machine without PostgreSQL has no installation", async () => {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-none-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  expect(installations(join(folder, "none"), folder)).toEqual([]);
});
