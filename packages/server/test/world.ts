import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureDatabase, loadProfile, type Profile } from "@loc2vec/gis";
import { type ObjectStore, openStore } from "@loc2vec/shards";
import { afterAll, beforeAll, expect, inject, onTestFinished } from "vitest";
import { farm } from "../../cli/test/farm.ts";
import { STYLE } from "../../rasterizer/test/helpers.ts";
import { type Server, type StartServerOptions, startServer } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
    python: string;
  }
}

export const TOKEN = "a-token-of-the-tests";
export const MAP = new URL("../../../examples/helsinki.osm.pbf", import.meta.url).pathname;
export const LOCATIONS = 70;

/** A data set of Helsinki's centre that the model which comes with the farm has embedded, both in the farm's own way. */
export interface World {
  readonly home: string;
  readonly settings: Record<string, string>;
  readonly store: ObjectStore;
  readonly profile: Profile;
  readonly databaseUrl: string;
}

/** Gives a test file a world of its own. @param name of its database */
export function testWorld(name: string): World {
  const world = {} as { -readonly [key in keyof World]: World[key] };
  beforeAll(async () => {
    world.home = await mkdtemp(join(tmpdir(), `${name}-`));
    world.databaseUrl = await ensureDatabase(inject("databaseUrl"), name);
    world.settings = {
      FARM_HOME: world.home,
      FARM_STORE: `file://${join(world.home, "store")}`,
      FARM_REDIS_URL: inject("redisUrl"),
      FARM_DATABASE_URL: world.databaseUrl,
      FARM_QUEUE_PREFIX: `${name}-${process.pid}`,
    };
    const sampled = ["--sample", String(LOCATIONS), "--positives", "1", "--shard-locations", "32"];
    for (const args of [
      ["import", MAP],
      ["enqueue", "--dataset", "city", ...sampled],
      ["work", "--until", "empty"],
      ["embed", "--dataset", "city", "--model", "pretrained"],
    ]) {
      const { code, stderr } = await farm(args, world.settings);
      if (code !== 0) throw new Error(`farm ${args.join(" ")}: ${stderr}`);
    }
    world.store = openStore(world.settings.FARM_STORE as string);
    world.profile = await loadProfile(STYLE);
  }, 300_000);
  afterAll(() => rm(world.home, { recursive: true, force: true }));
  return world;
}

/** A server of the world's data set; closed after the test unless the test did. */
export async function serve(
  { store, profile, databaseUrl }: World,
  changes: Partial<StartServerOptions> = {},
): Promise<Server & { lines: string[] }> {
  const lines: string[] = [];
  const server = await startServer({
    ...{ store, profile, databaseUrl, renderer: "fast", dataset: "city", model: "pretrained" },
    ...{ port: 0, tokens: TOKEN, log: (line) => void lines.push(line) },
    ...changes,
  });
  onTestFinished(() => server.close().catch(() => {}));
  return { ...server, lines };
}

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what is answered is looked at field by field
  json: any;
  bytes: Uint8Array;
}

/** Asks with a token; with a body, by POST. */
export async function ask(
  url: string,
  { body, token = TOKEN, ...init }: { body?: unknown; token?: string } & Omit<RequestInit, "body"> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    ...init,
    headers: {
      ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...init.headers,
    },
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  const json = isJson ? JSON.parse(new TextDecoder().decode(bytes)) : undefined;
  return { status: response.status, headers: response.headers, json, bytes };
}

/** An answer that must be one. */
export async function get(url: string, init?: Parameters<typeof ask>[1]): Promise<Answer["json"]> {
  const { status, json } = await ask(url, init);
  expect(status, `${url}: ${JSON.stringify(json)}`).toBe(200);
  return json;
}
