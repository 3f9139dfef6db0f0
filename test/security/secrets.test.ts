// Takes half a minute: each case is a process of the command line that tries a server which refuses.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { randomOf } from "@loc2vec/core";
import { connectRedis } from "@loc2vec/queue";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type Ended, farm } from "../../packages/cli/test/farm.ts";
import { type FaultProxy, s3Error, startProxy } from "../chaos/proxy.ts";
import { CREDENTIALS, startMoto } from "../support/moto.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
    redisUrl: string;
    databaseUrl: string;
  }
}

/** A word that stands in every password here, and in nothing else. */
const HUSH = "qjxhush";
/** Each character that means something in a URL, a shell, SQL or JSON. */
const PASSWORD = `a/@%#?: &=+;'"\\$[]{}|^~ü😀${HUSH}`;

let home: string;
let moto: Awaited<ReturnType<typeof startMoto>>;
let proxy: FaultProxy;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "loc2vec-secrets-"));
  moto = await startMoto(inject("python"), "tiles");
  proxy = await startProxy(moto.endpoint, randomOf(1));
});
afterAll(async () => {
  await proxy.close();
  moto.stop();
  await rm(home, { recursive: true, force: true });
});

const run = (args: readonly string[], settings: Record<string, string>): Promise<Ended> =>
  farm(args, { FARM_HOME: home, FARM_STORE: pathToFileURL(join(home, "store")).href, ...settings });

const errors = ({ stderr }: Ended): string[] =>
  stderr.split("\n").filter((line) => line.startsWith("error: "));

function hidden({ stdout, stderr }: Ended): void {
  expect(`${stdout}${stderr}`).not.toContain(HUSH);
  expect(`${stdout}${stderr}`).not.toContain(encodeURIComponent(PASSWORD).slice(0, 12));
}

test.each<[name: string, url: string, mend: RegExp]>([
  ["FARM_DATABASE_URL", `postgres://user:${HUSH}/abc@127.0.0.1:5432/osm`, /percent-encode .*: \/ as %2F/],
  ["FARM_DATABASE_URL", `postgres://user:12/${HUSH}@127.0.0.1:5432/osm`, /\/ as %2F/],
  ["FARM_DATABASE_URL", `host=127.0.0.1 password=${HUSH}`, /write postgres:\/\//],
  ["FARM_REDIS_URL", `redis://:${HUSH}#1@127.0.0.1:6379`, /# as %23/],
  ["FARM_REDIS_URL", `REDISS://user:100%${HUSH}@127.0.0.1`, /% as %25/],
  ["FARM_S3_ENDPOINT", `http://AKIA:${HUSH}/x@127.0.0.1:9000`, /\/ as %2F/],
  ["FARM_STORE", `s3://AKIA:${HUSH}@tiles/x`, /AWS_SECRET_ACCESS_KEY/],
  ["FARM_STORE", "s3://bucket/100%done", /% as %25/],
])("%s=%s with any command: one line that hides it, exit code 2", async (name, url, mend) => {
  for (const args of [["config"], ["status", "--dataset", "x", "--json"]]) {
    const ended = await run(args, { [name]: url });
    expect(ended).toMatchObject({ code: 2 });
    hidden(ended);
    expect(errors(ended)).toEqual([expect.stringMatching(mend)]);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    if (args.includes("--json"))
      expect(ended.json.error).toMatchObject({ kind: "usage", message: expect.stringContaining(name) });
  }
});

test("servers that refuse: their words, exit code 4, and no password in text, JSON or doctor", {
  timeout: 300_000,
}, async () => {
  const secret = encodeURIComponent(PASSWORD);
  const [redis, database] = [new URL(inject("redisUrl")), new URL(inject("databaseUrl"))];
  const settings = {
    FARM_REDIS_URL: `redis://nobody:${secret}@${redis.host}`,
    FARM_DATABASE_URL: `postgres://nobody:${secret}@${database.host}/osm?password=${secret}`,
    FARM_STORE: "s3://tiles/x",
    FARM_S3_ENDPOINT: proxy.endpoint,
    FARM_BOARD_PASSWORD: PASSWORD,
    FARM_SERVE_TOKENS: `token-${HUSH}`,
    ...CREDENTIALS,
    AWS_SECRET_ACCESS_KEY: PASSWORD,
    AWS_SESSION_TOKEN: HUSH,
  };
  proxy.reply = () => s3Error(403, "SignatureDoesNotMatch");
  for (const [args, said] of [
    [["work", "--until", "empty"], /Redis .*(WRONGPASS|invalid username-password)/],
    [["locations", "--count", "5"], /PostgreSQL .*authentication failed/],
    [["train", "--dataset", "x", "--model", "y", "--steps", "1"], /SignatureDoesNotMatch 403/],
  ] as const) {
    for (const json of [[], ["--json"]]) {
      const ended = await run([...args, ...json], settings);
      hidden(ended);
      expect(ended).toMatchObject({ code: 4 });
      expect(errors(ended)).toEqual([expect.stringMatching(said)]);
    }
  }
  for (const args of [["doctor"], ["doctor", "--json"], ["config"], ["config", "--json"]])
    hidden(await run(args, settings));
  proxy.reply = undefined;
});

test.each<[name: string, reply: ReturnType<typeof s3Error>, said: RegExp]>([
  [
    "a clock that is off",
    s3Error(403, "RequestTimeTooSkewed", "The difference is too large."),
    /^error: cannot read .*RequestTimeTooSkewed 403: The difference is too large\.\) \(mend: set it by NTP/,
  ],
  [
    "a proxy's page",
    {
      status: 413,
      headers: { "content-type": "text/html" },
      body: "<html>\r\n<head><title>413 Request Entity Too Large</title></head></html>",
    },
    /^error: .*413 Request Entity Too Large.*\(mend: .*client_max_body_size/,
  ],
])("S3 behind %s: one line, exit code 4", async (_, reply, said) => {
  proxy.reply = () => reply;
  const ended = await run(["train", "--dataset", "x", "--model", "y", "--steps", "1"], {
    FARM_STORE: "s3://tiles/x",
    FARM_S3_ENDPOINT: proxy.endpoint,
    ...CREDENTIALS,
  });
  proxy.reply = undefined;
  expect(ended.code).toBe(4);
  expect(errors(ended)).toEqual([expect.stringMatching(said)]);
});

test("an error that nobody caught is printed without the fields that Node adds", async () => {
  const preload = join(home, "fail.mjs");
  await writeFile(
    preload,
    `const wait = setInterval(() => {
      if (process.listenerCount("uncaughtException") === 0) return;
      clearInterval(wait);
      throw Object.assign(new Error("no redis://:${HUSH}@host"), { command: { args: ["${HUSH}"] } });
    }, 1);`,
  );
  const ended = await run(["doctor"], { NODE_OPTIONS: `--import=${pathToFileURL(preload).href}` });
  hidden(ended);
  expect(ended.code).toBe(1);
  expect(errors(ended)).toEqual([expect.stringMatching(/no redis:\/\/:\*\*\*@host/)]);
});

test("a password of any characters, percent-encoded, opens Redis and PostgreSQL", async () => {
  const admin = await connectRedis(inject("redisUrl"));
  const client = new pg.Client({ connectionString: inject("databaseUrl") });
  await client.connect();
  const [user, role] = [`odd:${process.pid}@/`, `odd_${process.pid}`];
  try {
    await admin.call("ACL", "SETUSER", user, "on", `>${PASSWORD}`, "~*", "&*", "+@all");
    await client.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD ${client.escapeLiteral(PASSWORD)}`);
    const url = (from: string, name: string): string => {
      const { protocol, host, pathname } = new URL(from);
      return `${protocol}//${encodeURIComponent(name)}:${encodeURIComponent(PASSWORD)}@${host}${pathname}`;
    };
    const ended = await run(["doctor", "--json"], {
      FARM_REDIS_URL: url(inject("redisUrl"), user),
      FARM_DATABASE_URL: url(inject("databaseUrl"), role),
    });
    hidden(ended);
    expect(ended.json.findings).toEqual(
      expect.arrayContaining([
        { what: "redis", ok: true, detail: expect.stringMatching(/^external, \d/) },
        { what: "database", ok: true, detail: expect.stringMatching(/^external, \d/) },
      ]),
    );
  } finally {
    await admin.call("ACL", "DELUSER", user);
    await client.query(`DROP ROLE IF EXISTS ${role}`);
    await client.end();
    admin.disconnect();
  }
});
