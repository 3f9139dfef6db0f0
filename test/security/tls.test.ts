// Takes a quarter of a minute: servers with certificates of their own, and whole commands over TLS.

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readConfig } from "@loc2vec/core";
import { fetchDemoMap } from "@loc2vec/gis";
import { ensureServices } from "@loc2vec/services";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type Ended, farm } from "../../packages/cli/test/farm.ts";
import { guardHome } from "../../packages/services/test/guard.ts";
import { CREDENTIALS, startMoto } from "../support/moto.ts";
import { freePort } from "../support/ports.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
    databaseUrl: string;
  }
}

/** Redis, PostgreSQL and S3 that are reached by TLS alone, with certificates of an authority that only we know. */
let settings: Record<string, string>;
let pbf: string;
let ca: string;
/** An authority that had nothing to do with it. */
let other: string;
const cleanups: (() => Promise<void> | void)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

beforeAll(async () => {
  const home = await mkdtemp(join(tmpdir(), "loc2vec-tls-"));
  cleanups.push(guardHome(home));
  await chmod(home, 0o755);
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-certificates-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  await chmod(folder, 0o755);
  const [key, certificate] = certify(folder);
  ca = join(folder, "ca.pem");
  const elsewhere = join(folder, "elsewhere");
  mkdirSync(elsewhere, { mode: 0o755 });
  certify(elsewhere);
  other = join(elsewhere, "ca.pem");

  const redisPort = await freePort();
  const redis = spawn(
    "redis-server",
    [
      ...["--port", "0", "--tls-port", String(redisPort), "--bind", "127.0.0.1", "--tls-auth-clients", "no"],
      ...["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", ca],
      ...["--requirepass", "sesame", "--save", "", "--dir", folder],
    ],
    { stdio: "ignore" },
  );
  cleanups.push(() => void redis.kill("SIGKILL"));

  const config = readConfig("/", {
    FARM_HOME: home,
    FARM_REDIS_PORT: String(await freePort()),
    FARM_DATABASE_PORT: String(await freePort()),
  });
  const services = await ensureServices(config, { need: ["database"] });
  const databaseUrl = await secureDatabase(services.databaseUrl, key, certificate);

  const moto = await startMoto(inject("python"), "tiles");
  cleanups.push(moto.stop);
  const { hostname, port } = new URL(moto.endpoint);
  const s3 = createServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const forwarded = request({ hostname, port, method, path: url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders as unknown as string[]);
        answer.pipe(outgoing);
      });
      incoming.pipe(forwarded);
    },
  );
  const s3Port = await freePort();
  await new Promise<void>((done) => s3.listen(s3Port, "127.0.0.1", done));
  cleanups.push(() => void s3.closeAllConnections());

  pbf = (await fetchDemoMap({ home: resolve(import.meta.dirname, "../../.farm") })).path;
  settings = {
    ...CREDENTIALS,
    FARM_HOME: home,
    FARM_REDIS_URL: `rediss://:sesame@localhost:${redisPort}`,
    FARM_DATABASE_URL: `${databaseUrl}?sslmode=verify-full&sslrootcert=${ca}`,
    FARM_STORE: "s3://tiles/tls",
    FARM_S3_ENDPOINT: `https://localhost:${s3Port}`,
    NODE_EXTRA_CA_CERTS: ca,
  };
  await sleep(300);
}, 120_000);

/** An authority, and a certificate of it for `localhost`. @returns key and certificate */
function certify(folder: string): [string, string] {
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=test authority",
  );
  openssl(
    "req",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    "server.key",
    "-out",
    "server.csr",
    "-subj",
    "/CN=localhost",
  );
  writeFileSync(join(folder, "names"), "subjectAltName=DNS:localhost");
  openssl(
    "x509",
    "-req",
    "-in",
    "server.csr",
    "-CA",
    "ca.pem",
    "-CAkey",
    "ca.key",
    "-CAcreateserial",
    "-out",
    "server.pem",
    "-days",
    "2",
    "-extfile",
    "names",
  );
  return [join(folder, "server.key"), join(folder, "server.pem")];
}

/** Has PostgreSQL answer by TLS, and refuse anybody else. @returns its URL, by name */
async function secureDatabase(url: string, key: string, certificate: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const show = async (name: string): Promise<string> => (await client.query(`SHOW ${name}`)).rows[0][name];
  const data = await show("data_directory");
  const { uid, gid } = statSync(data);
  const ownKey = join(data, "server.key");
  const ownCertificate = join(data, "server.crt");
  for (const [from, to] of [
    [key, ownKey],
    [certificate, ownCertificate],
  ] as const) {
    writeFileSync(to, readFileSync(from), { mode: 0o600 });
    chmodSync(to, 0o600);
    chownSync(to, uid, gid);
  }
  await client.query("ALTER SYSTEM SET ssl = on");
  const hba = await show("hba_file");
  writeFileSync(hba, readFileSync(hba, "utf8").replace(/^host /gm, "hostssl "));
  await client.query("SELECT pg_reload_conf()");
  await client.end();
  await sleep(500);
  const named = new URL(url);
  named.hostname = "localhost";
  return named.href;
}

const databaseUrl = (parameters: string): string =>
  (settings.FARM_DATABASE_URL as string).replace(/\?.*/, parameters);

test.each(["require", "no-verify", "verify-ca"])(
  "sslmode=%s imports, and says nothing of itself",
  async (mode) => {
    const trusted = mode === "no-verify" ? "" : `&sslrootcert=${ca}`;
    const ended = await run(["import", pbf, "--force", "--json"], {
      FARM_DATABASE_URL: databaseUrl(`?sslmode=${mode}${trusted}`),
      NODE_EXTRA_CA_CERTS: "",
    });
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stderr).not.toMatch(/warning/i);
  },
);

const run = (args: string[], changes: Record<string, string> = {}): Promise<Ended> =>
  farm(args, { ...settings, ...changes });

test("everything goes over TLS: import, enqueue, work, verify", { timeout: 120_000 }, async () => {
  for (const args of [
    ["import", pbf],
    ["enqueue", "--dataset", "town", "--sample", "6", "--positives", "1", "--shard-locations", "3"],
    ["work", "--until", "empty"],
    ["verify", "--dataset", "town"],
  ]) {
    const ended = await run([...args, "--json"]);
    expect(ended, args.join(" ")).toMatchObject({ code: 0 });
    expect(ended.stderr).not.toContain("sesame");
  }
  expect((await run(["status", "--dataset", "town", "--json"])).json).toMatchObject({
    complete: { shards: 2, tiles: 12 },
  });
});

test.each<[string, () => Record<string, string>, string[], RegExp]>([
  [
    "Redis with a certificate of an unknown authority",
    // A store that needs no authority: it is asked before Redis.
    () => ({ NODE_EXTRA_CA_CERTS: "", FARM_STORE: `file://${settings.FARM_HOME}/store` }),
    ["work", "--until", "empty"],
    /Redis .*(certificate|self.signed)/i,
  ],
  [
    "Redis without TLS",
    () => ({ FARM_REDIS_URL: (settings.FARM_REDIS_URL as string).replace("rediss:", "redis:") }),
    ["status", "--dataset", "town"],
    /Redis/,
  ],
  [
    "PostgreSQL with a certificate of another name",
    () => ({ FARM_DATABASE_URL: (settings.FARM_DATABASE_URL as string).replace("localhost", "127.0.0.1") }),
    ["import", "PBF"],
    /^error: PostgreSQL .*altnames.*\(mend: name the host as the certificate does .*\)\n$/,
  ],
  [
    "PostgreSQL without TLS",
    () => ({ FARM_DATABASE_URL: databaseUrl("") }),
    ["import", "PBF"],
    /PostgreSQL .*encryption \(28000\) \(mend: add sslmode=verify-full/,
  ],
  [
    "PostgreSQL with a certificate of an unknown authority, by sslmode=require",
    () => ({ FARM_DATABASE_URL: databaseUrl("?sslmode=require"), NODE_EXTRA_CA_CERTS: "" }),
    ["import", "PBF"],
    /^error: PostgreSQL .*(certificate|self.signed).*\(mend: add sslrootcert=FILE .* sslmode=no-verify .*\)\n$/,
  ],
  [
    "PostgreSQL with a certificate that another authority gave, by sslmode=verify-ca",
    () => ({
      FARM_DATABASE_URL: databaseUrl(`?sslmode=verify-ca&sslrootcert=${other}`),
      NODE_EXTRA_CA_CERTS: "",
    }),
    ["import", "PBF"],
    /^error: PostgreSQL .*certificate.*\(mend: add sslrootcert=FILE .*\)\n$/,
  ],
  [
    "a PostgreSQL that has no TLS",
    () => ({ FARM_DATABASE_URL: `${inject("databaseUrl")}?sslmode=require` }),
    ["import", "PBF"],
    /^error: PostgreSQL .*does not support SSL.*\(mend: ssl = on .* sslmode=disable .*\)\n$/,
  ],
  [
    "S3 with a certificate of an unknown authority",
    () => ({ NODE_EXTRA_CA_CERTS: "" }),
    ["verify", "--dataset", "town"],
    /S3 .*(certificate|self.signed)/i,
  ],
])("%s is refused, and says why", async (_, changes, args, message) => {
  const ended = await run(
    args.map((arg) => (arg === "PBF" ? pbf : arg)),
    changes(),
  );
  expect(ended.stderr).toMatch(message);
  expect(ended.code).toBe(4);
  expect(ended.stderr).not.toContain("sesame");
});
