import { describe, expect, it } from "vitest";
import { describeConfig, readConfig, redact } from "../src/config.ts";
import { errorMessage, FarmError } from "../src/errors.ts";
import { checkName } from "../src/names.ts";

describe("readConfig", () => {
  it("has defaults under the project's .farm", () => {
    const config = readConfig("/project", {});
    expect(config.home).toBe("/project/.farm");
    expect(config.store).toBe("file:///project/.farm/store");
    expect(config.redisUrl).toBeUndefined();
    expect(config.redisPort).not.toBe(6379);
    expect(config.databasePort).not.toBe(5432);
  });

  it("takes services from URLs", () => {
    const config = readConfig("/p", {
      FARM_REDIS_URL: "rediss://r:6380/1",
      FARM_STORE: "s3://tiles/europe",
      FARM_REDIS_PORT: "7000",
    });
    expect(config.redisUrl).toBe("rediss://r:6380/1");
    expect(config.store).toBe("s3://tiles/europe");
    expect(config.redisPort).toBe(7000);
  });

  it.each([
    [{ FARM_REDIS_URL: "localhost:6379" }, /FARM_REDIS_URL=localhost:6379: must be a URL/],
    [{ FARM_STORE: "/data" }, /FARM_STORE=\/data: must be a URL that starts with file:\/\/ or s3:\/\//],
    [{ FARM_DATABASE_PORT: "99999" }, /FARM_DATABASE_PORT=99999/],
    [{ FARM_REDIS: "x" }, /unknown setting FARM_REDIS/],
    [{ FARM_DATABASE_URL: "mysql://u:secret@h/d" }, /FARM_DATABASE_URL=mysql:\/\/u:\*\*\*@h\/d/],
  ])("refuses %j by name", (env, message) => {
    expect(() => readConfig("/p", env)).toThrow(message);
  });

  it("hides secrets when shown", () => {
    const config = readConfig("/p", {
      FARM_DATABASE_URL: "postgres://farm:hunter2@db/osm",
      FARM_REDIS_URL: "redis://:hunter2@r",
    });
    const shown = JSON.stringify(describeConfig(config));
    expect(shown).not.toContain("hunter2");
    expect(shown).toContain("postgres://farm:***@db/osm");
    expect(redact("redis://:p@ss@r")).not.toContain("ss@");
  });
});

describe("checkName", () => {
  it.each(["../up", "a/b", "", ".hidden", "A", "a..b", "x".repeat(64), "a\0", "a b", "-x"])(
    "refuses %j",
    (name) => {
      expect(() => checkName("data set", name)).toThrow(FarmError);
    },
  );

  it("takes ordinary names", () => {
    expect(checkName("data set", "helsinki-2026.v1")).toBe("helsinki-2026.v1");
  });
});

describe("errorMessage", () => {
  it("says what and how to mend it, and unwraps what the network stack throws", () => {
    expect(errorMessage(new FarmError("input", "row 3: no", "yes"))).toBe("row 3: no (mend: yes)");
    expect(errorMessage(new AggregateError([new Error("connect ECONNREFUSED")]))).toBe(
      "connect ECONNREFUSED",
    );
  });
});
