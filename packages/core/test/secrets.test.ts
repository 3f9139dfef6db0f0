import { describe, expect, it } from "vitest";
import { describeConfig, readConfig } from "../src/config.ts";
import { errorMessage, FarmError } from "../src/errors.ts";
import { randomOf } from "../src/random.ts";
import { redact, redactText } from "../src/secrets.ts";

/** Fails when a part of the password is shown. */
function hides(shown: string, marks: readonly string[], given: string): void {
  if (marks.some((mark) => shown.includes(mark))) throw new Error(`${given} is shown as ${shown}`);
}

/** Passwords of all sorts of characters. Each has a part that stands nowhere else, at its beginning, middle and end. */
function* passwords(): Generator<{ password: string; marks: readonly string[] }> {
  const pieces = [
    "/",
    "@",
    "%",
    "#",
    "?",
    ":",
    " ",
    "&",
    "=",
    "+",
    ";",
    ",",
    "ü",
    "東",
    "😀",
    "\\",
    '"',
    "'",
    "<",
    ">",
    "[",
    "]",
    "{",
    "}",
    "|",
    "^",
    "`",
    "~",
    "!",
    "$",
    "(",
    ")",
    "*",
    ".",
    "://",
    "%2F",
    "%zz",
    "x=y",
    "//",
    "@@",
    "@h:1/",
    "***",
    "?password=",
    "&sslmode=",
  ];
  const random = randomOf(12);
  for (let i = 0; i < 1000; i++) {
    const marks = ["QJX", "ZVK", "WPY"];
    const gap = (): string =>
      Array.from({ length: random.int(4) }, () => pieces[random.int(pieces.length)]).join("");
    const password = `${gap()}QJX${gap()}ZVK${gap()}WPY${gap()}`;
    // The one beginning that is taken for what was hidden already.
    if (!password.startsWith("***@")) yield { password, marks };
  }
}

const URLS: readonly ((password: string) => string)[] = [
  (password) => `redis://:${password}@h:6379`,
  (password) => `rediss://user:${password}@h:6379/0`,
  (password) => `postgres://user:${password}@127.0.0.1:5432/osm`,
  (password) => `POSTGRESQL://us:er:${password}@h/osm?sslmode=require`,
  (password) => `postgres://user:${password}@a:5432,b:5432/osm`,
  (password) => `postgres://h/osm?sslmode=require&password=${password}`,
  (password) => `postgres://h/osm?password=${password}`,
  (password) => `https://${password}@h:9000`,
  (password) => `https://user:${password}@h:9000/x`,
  (password) => `redis://user:${password}`,
  (password) => `user:${password}@h:6379`,
  (password) => `postgres:user:${password}@h`,
];

describe("redact", () => {
  it("hides any password in anything that may be meant as a URL", () => {
    for (const { password, marks } of passwords()) {
      for (const url of URLS) {
        // Without a host behind it, what follows an @ of the password is taken for one.
        if (url("x").endsWith("x") && !url("x").includes("=") && password.includes("@")) continue;
        const shown = redact(url(password));
        hides(shown, marks, url(password));
      }
    }
  });

  it("is what settings are shown and refused with", () => {
    for (const { password, marks } of passwords()) {
      const given = {
        FARM_REDIS_URL: `redis://:${password}@h`,
        FARM_DATABASE_URL: `postgres://u:${password}@h/osm`,
        FARM_S3_ENDPOINT: `http://u:${password}@h`,
        FARM_STORE: `s3://u:${password}@bucket`,
      };
      for (const [name, value] of Object.entries(given)) {
        let shown: string;
        try {
          shown = JSON.stringify(describeConfig(readConfig("/p", { [name]: value })));
        } catch (error) {
          shown = `${errorMessage(error)} ${(error as Error).stack}`;
          expect((error as FarmError).kind, shown).toBe("usage");
        }
        hides(shown, marks, value);
      }
    }
  });

  it.each([
    ["postgres://user:hun/ter2@127.0.0.1:5432/osm", "postgres://user:***@127.0.0.1:5432/osm"],
    ["redis://:p@ss@r", "redis://:***@r"],
    ["redis://token@r", "redis://***@r"],
    [
      "postgres://u:p@h/x?sslmode=require&password=q&x=y",
      "postgres://u:***@h/x?sslmode=require&password=***",
    ],
    ["https://u:p@h/x", "https://***@h/x"],
    // Nothing to hide.
    ...[
      "redis://127.0.0.1:6379/0",
      "postgres://[::1]:5432/osm?sslmode=verify-full&sslrootcert=/a/b.pem",
      "postgres://a:1,b:2/osm",
      "localhost:6379",
      "/data",
      "file:///a@b:c",
      "s3://bucket/team@corp:x?y",
    ].map((plain) => [plain, plain]),
  ])("%s is shown as %s", (url, shown) => {
    expect(redact(url)).toBe(shown);
  });
});

describe("redactText", () => {
  it("hides the passwords of servers' URLs in the messages of drivers", () => {
    for (const { password, marks } of passwords()) {
      for (const scheme of ["redis", "rediss", "postgres", "postgresql"]) {
        const shown = redactText(
          `cannot connect to ${scheme}://user:${password}@host:1/db: refused\n    at x (file:///a@b.js:1:2)`,
        );
        hides(shown, marks, password);
        expect(shown).toContain(": refused\n    at x (file:///a@b.js:1:2)");
      }
    }
  });

  it.each([
    ["two: redis://:a@h1 and postgres://u:b@h2, ok", "two: redis://:***@h1 and postgres://u:***@h2, ok"],
    ["see https://tok:en@pypi.example/simple/, not there", "see https://***@pypi.example/simple/, not there"],
    ["host=x password='a b' user=y", "host=x password=*** user=y"],
    ['{"password": "a b"}, PGPASSWORD=c', '{"password": ***}, PGPASSWORD=***'],
    [
      "bucket x at http://127.0.0.1:9000: gone (@aws-sdk)",
      "bucket x at http://127.0.0.1:9000: gone (@aws-sdk)",
    ],
    ["Redis at redis://u:***@h:1: write me@x", "Redis at redis://u:***@h:1: write me@x"],
    ["PostgreSQL postgres://h/x?password=***: no", "PostgreSQL postgres://h/x?password=***: no"],
    ["password authentication failed for user x", "password authentication failed for user x"],
  ])("%s", (text, shown) => {
    expect(redactText(text)).toBe(shown);
    expect(redactText(shown)).toBe(shown);
  });

  it("is what errorMessage says of the errors of others", () => {
    expect(errorMessage(new Error("connect redis://:hush@h"))).toBe("connect redis://:***@h");
    expect(errorMessage(new FarmError("service", "as it was written", "so"))).toBe(
      "as it was written (mend: so)",
    );
  });
});
