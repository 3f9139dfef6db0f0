import { homedir } from "node:os";
import { describe, expect, it } from "vitest";
import { describeConfig, readConfig } from "../src/config.ts";
import { errorMessage, FarmError } from "../src/errors.ts";
import { checkName } from "../src/names.ts";
import { readStoreUrl } from "../src/urls.ts";

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
    [
      { FARM_REDIS_URL: "localhost:6379" },
      /FARM_REDIS_URL=localhost:6379: must be a URL that starts with redis/,
    ],
    [{ FARM_REDIS_PORT: "many" }, /FARM_REDIS_PORT=many/],
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
  });

  const refusal = (env: Record<string, string>): FarmError => {
    try {
      readConfig("/p", env);
    } catch (error) {
      if (error instanceof FarmError) return error;
      throw error;
    }
    throw new Error(`${JSON.stringify(env)} is taken`);
  };

  it.each<[name: string, value: string, what: RegExp, mend: RegExp]>([
    // A port and a path, to a parser; the host would be "user".
    [
      "FARM_DATABASE_URL",
      "postgres://user:1234/hunter2@h:5432/osm",
      /"\/" stands before the last "@"/,
      /\/ as %2F/,
    ],
    ["FARM_DATABASE_URL", "postgres://user:hunter2/x@h/osm", /"\/" stands/, /percent-encode .*: \/ as %2F/],
    ["FARM_REDIS_URL", "redis://:hunter2?x#y@h", /"\?" and "#" stand before/, /\? as %3F, # as %23/],
    ["FARM_REDIS_URL", "redis://:100%hunter2@h", /"%" stands before/, /% as %25/],
    ["FARM_REDIS_URL", "redis://:hunter2%FF@h", /no UTF-8/, /UTF-8/],
    ["FARM_DATABASE_URL", "postgres://u:hunter2@a:1,b:2/osm", /several hosts/, /one/],
    ["FARM_DATABASE_URL", "postgres://u:hunter2@a,b/osm", /several hosts/, /one/],
    ["FARM_DATABASE_URL", "postgres://u:hunter2", /cannot be read/, /user:password@host:port/],
    ["FARM_DATABASE_URL", "postgres://u:hunter2\ny@h/x", /control character/, /take it out/],
    [
      "FARM_DATABASE_URL",
      "host=db password=hunter2 user=u",
      /must be a URL that starts with postgres:/,
      /write postgres:\/\//,
    ],
    ["FARM_DATABASE_URL", "u:hunter2@h/db", /must be a URL/, /write postgres:/],
    [
      "FARM_REDIS_URL",
      "http://u:hunter2@h",
      /must be a URL that starts with redis:\/\/ or rediss:/,
      /write redis:/,
    ],
    ["FARM_S3_ENDPOINT", "https://AKIA:hunter2@minio", /neither credentials/, /AWS_SECRET_ACCESS_KEY/],
    ["FARM_S3_ENDPOINT", "https://AKIA:hun/ter2@minio", /"\/" stands/, /%2F/],
    ["FARM_S3_ENDPOINT", "https://minio?token=hunter2", /neither credentials nor parameters/, /http:/],
    ["FARM_STORE", "s3://AKIA:hunter2@bucket/x", /credentials/, /AWS_SECRET_ACCESS_KEY/],
    ["FARM_STORE", "s3://AKIA:hun/ter2@bucket/x", /credentials/, /AWS_SECRET_ACCESS_KEY/],
    ["FARM_BOARD_PASSWORD", "hunter2", /12 characters/, /board/],
  ])("%s=%s is refused, with its reason and without its secret", (name, value, what, mend) => {
    const error = refusal({ [name]: value });
    expect(error).toMatchObject({ kind: "usage", exitCode: 2 });
    expect(error.message).toMatch(what);
    expect(error.mend).toMatch(mend);
    expect(error.line).toContain(name);
    expect(error.line).not.toMatch(/hun|ter2|1234/);
  });

  it("takes any password that is percent-encoded, a line end behind it, and schemes in capitals", () => {
    const config = readConfig("/p", {
      FARM_DATABASE_URL: `POSTGRES://us%3Aer:${encodeURIComponent("a/@%#?: ü")}@h/osm\n`,
      FARM_REDIS_URL: " REDISS://:p w@h ",
      FARM_S3_ENDPOINT: "HTTPS://minio:9000",
    });
    expect(config.databaseUrl).toBe("postgres://us%3Aer:a%2F%40%25%23%3F%3A%20%C3%BC@h/osm");
    expect(config.redisUrl).toBe("rediss://:p w@h");
    expect(config.s3Endpoint).toBe("https://minio:9000");
  });

  it.each<[value: string, what: RegExp, mend: RegExp]>([
    ["s3://bucket/100%done", /"%" stands/, /% as %25/],
    ["s3://bucket/a?b#c", /"\?" and "#"/, /\? as %3F, # as %23/],
    ["s3://bucket/a%FFb", /UTF-8/, /UTF-8/],
    ["s3://bucket/a%0Ab", /control character/, /prefix/],
    ["s3://bucket/a/../b", /\.\./, /prefix/],
    ["s3://bucket/a%2Fb", /%2F/, /prefix/],
    ["s3://bucket:9000/a", /ports/, /FARM_S3_ENDPOINT/],
    ["s3://Bucket/a", /"Bucket" is not a bucket's name/, /3 to 63/],
    ["s3:/bucket/a", /bucket's name/, /s3:\/\/bucket/],
    ["s3://", /bucket's name/, /s3:\/\/bucket/],
    ["/data/a b%c#d", /must be a URL/, /^write file:\/\/\/data\/a%20b%25c%23d$/],
    ["store", /must be a URL/, /^write file:\/\/\/p\/store$/],
    ["../store", /must be a URL/, /^write file:\/\/\/store$/],
    ["file://store/x", /would be a host/, /^write file:\/\/\/p\/store\/x$/],
    ["file:store", /does not begin with/, /^write file:\/\/\/p\/store$/],
    ["file:///100%", /"%" stands/, /%25/],
    ["file:///a#b", /"#"/, /%23/],
    ["file:///a%2Fb", /%2F/, /folder/],
    ["file:///a%00b", /control character/, /folder/],
    ["~/store", /must be a URL/, new RegExp(`^write file://${homedir()}/store$`)],
    ["file://~/store", /not expanded/, new RegExp(`^write file://${homedir()}/store$`)],
    ["file:///~/store", /not expanded/, new RegExp(`^write file://${homedir()}/store$`)],
  ])("FARM_STORE=%s is refused with a mend", (value, what, mend) => {
    const error = refusal({ FARM_STORE: value });
    expect(error).toMatchObject({ kind: "usage" });
    expect(error.message).toMatch(/^FARM_STORE=/);
    expect(error.message).toMatch(what);
    expect(error.mend).toMatch(mend);
  });

  it.each<[url: string, place: object]>([
    ["s3://bucket", { kind: "s3", bucket: "bucket", prefix: "" }],
    ["s3://bucket/a b//ü/%25x%2Bx+y/", { kind: "s3", bucket: "bucket", prefix: "a b/ü/%x+x+y" }],
    ["file:///a b/ü/%25%23%3F+@:~", { kind: "file", folder: "/a b/ü/%#?+@:~" }],
    ["file://localhost/data/", { kind: "file", folder: "/data" }],
    ["file:/data/../x", { kind: "file", folder: "/x" }],
    ["FILE:///data\\x|y", { kind: "file", folder: "/data\\x|y" }],
  ])("%s is a store", (url, place) => {
    expect(readStoreUrl(url)).toEqual(place);
    expect(readConfig("/p", { FARM_STORE: url }).store.toLowerCase()).toBe(url.toLowerCase());
  });

  it.each<[given: string, home: string]>([
    ["/a b/100%/c#d?e/ü'\"x/", "/a b/100%/c#d?e/ü'\"x"],
    ["farm", "/p/farm"],
    ["./farm/../x", "/p/x"],
    ["~", homedir()],
    ["~/farm", `${homedir()}/farm`],
    ["", "/p/.farm"],
  ])("FARM_HOME=%s is a folder, and the store in it is found again", (given, home) => {
    const config = readConfig("/p", { FARM_HOME: given });
    expect(config.home).toBe(home);
    expect(readStoreUrl(config.store)).toEqual({ kind: "file", folder: `${home}/store` });
  });

  it.each([
    ["~other/x", /another user/],
    ["file:///x", /a URL/],
    ["/a\nb", /control character/],
    [`/${"a/".repeat(500)}`, /longer than 900 bytes/],
    [`/${"ü".repeat(200)}`, /longer than/],
  ])("FARM_HOME=%s is refused", (given, what) => {
    expect(refusal({ FARM_HOME: given })).toMatchObject({
      kind: "usage",
      message: expect.stringMatching(what),
    });
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
