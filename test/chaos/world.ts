import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, randomOf, readConfig } from "@loc2vec/core";
import { fetchDemoMap } from "@loc2vec/gis";
import { type DatasetStatus, datasetStatus } from "@loc2vec/producer";
import { openQueues } from "@loc2vec/queue";
import { type ServiceName, servicesStatus, servicesUp } from "@loc2vec/services";
import { type ObjectStore, openStore, STORE_KEY, storeIdentity } from "@loc2vec/shards";
import { guardHome } from "../../packages/services/test/guard.ts";
import { CREDENTIALS, startMoto } from "../support/moto.ts";
import { freePort } from "../support/ports.ts";
import { type FaultProxy, startProxy } from "./proxy.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const CLI = join(ROOT, "packages/cli/dist/main.js");
const BUCKET = "chaos";
/** A dead worker's job goes to another after so many seconds: short, as the tests wait for it. */
const LOCK_S = 3;

/** A farm of its own: Redis with its append-only file, PostGIS with a real map, an S3 server behind a proxy of faults. */
export interface World {
  readonly config: Config;
  readonly proxy: FaultProxy;
  /** A place for one data set: a prefix of the bucket, and queues of its own. */
  place(name: string, storeUrl?: string): Place;
  /** Ends a server, by the signal, and starts it again after a while. */
  restart(service: ServiceName, signal: NodeJS.Signals, downMs: number): Promise<void>;
  close(): Promise<void>;
}

export async function createWorld(python: string, seed: number): Promise<World> {
  const home = await mkdtemp(join(tmpdir(), "loc2vec-chaos-"));
  const takeAway = guardHome(home);
  Object.assign(process.env, CREDENTIALS);
  await chmod(home, 0o755); // PostgreSQL's own user must get in
  const given = {
    FARM_HOME: home,
    FARM_REDIS_PORT: String(await freePort()),
    FARM_DATABASE_PORT: String(await freePort()),
  };
  const config = readConfig(ROOT, given);
  await servicesUp(config);
  const moto = await startMoto(python, BUCKET);
  const proxy = await startProxy(moto.endpoint, randomOf(seed, 1));
  const map = await fetchDemoMap({ home: join(ROOT, ".farm") });
  const world: World = {
    config,
    proxy,
    place(name, storeUrl = `s3://${BUCKET}/${name}`) {
      const settings = {
        ...given,
        ...CREDENTIALS,
        FARM_STORE: storeUrl,
        FARM_S3_ENDPOINT: proxy.endpoint,
        FARM_QUEUE_PREFIX: name,
      };
      return new Place(config, settings, openStore(storeUrl, { endpoint: moto.endpoint }), name);
    },
    async restart(service, signal, downMs) {
      const { pid } = (await servicesStatus(config)).find((each) => each.service === service) ?? {};
      if (pid === undefined) throw new Error(`${service} does not run`);
      process.kill(pid, signal);
      while (alive(pid)) await sleep(20);
      await sleep(downMs);
      await servicesUp(config);
    },
    async close() {
      await proxy.close();
      moto.stop();
      await takeAway();
      await rm(home, { recursive: true, force: true });
    },
  };
  try {
    await world.place("import").farm("import", map.path);
  } catch (error) {
    await world.close();
    throw error;
  }
  return world;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export interface Size {
  shards: number;
  /** Locations per shard. */
  locations: number;
  /** Per location. */
  positives: number;
}

export const DATASET = "city";

/** A data set and its queue, on the world's servers. */
export class Place {
  readonly #config: Config;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #prefix: string;
  /** The store, without faults on the way. */
  readonly store: ObjectStore;

  constructor(
    config: Config,
    settings: Readonly<Record<string, string>>,
    store: ObjectStore,
    prefix: string,
  ) {
    this.#config = config;
    this.#settings = settings;
    this.#prefix = prefix;
    this.store = store;
  }

  /** Starts a command of the farm as a process of its own. @param node options of Node */
  start(
    args: readonly string[],
    node: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("FARM_"));
    return spawn(process.execPath, [...node, CLI, ...args], {
      env: { ...Object.fromEntries(own), ...this.#settings, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Runs a command to its end. @returns what it printed last, parsed @throws Error when it fails */
  // biome-ignore lint/suspicious/noExplicitAny: what a command prints is looked at field by field
  async farm(...args: string[]): Promise<any> {
    const child = this.start([...args, "--json"]);
    let [stdout, stderr] = ["", ""];
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const code = await new Promise<number | null>((done) => child.once("close", done));
    if (code !== 0) throw new Error(`farm ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  }

  async enqueue({ shards, locations, positives }: Size): Promise<void> {
    const given = { dataset: DATASET, sample: shards * locations, "shard-locations": locations, positives };
    await this.farm(
      "enqueue",
      ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]),
    );
  }

  workers(count: number): Pool {
    return new Pool(this, count);
  }

  /** Undefined while a server is away. */
  async status(): Promise<DatasetStatus | undefined> {
    const services = await servicesStatus(this.#config).catch(() => []);
    if (services.some(({ state }) => state !== "up")) return undefined;
    const redisUrl = await redisUrlOf(this.#config);
    try {
      const queues = await openQueues({
        redisUrl,
        prefix: this.#prefix,
        store: await storeIdentity(this.store),
      });
      try {
        return await datasetStatus({ queues, store: this.store, name: DATASET });
      } finally {
        await queues.close();
      }
    } catch {
      return undefined;
    }
  }

  /** The SHA-256 of every object, by key; but for the store's identity, which no two share. */
  async hashes(): Promise<Record<string, string>> {
    const found: [string, string][] = [];
    for await (const key of this.store.list("")) {
      if (key === STORE_KEY) continue;
      const bytes = (await this.store.get(key)) as Uint8Array;
      found.push([key, createHash("sha256").update(bytes).digest("hex")]);
    }
    return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Takes all objects away. */
  async clear(): Promise<void> {
    for await (const key of this.store.list("")) await this.store.remove(key);
  }
}

async function redisUrlOf(config: Config): Promise<string> {
  const password = (await readFile(join(config.home, "redis/password"), "utf8")).trim();
  return `redis://:${password}@127.0.0.1:${config.redisPort}`;
}

/** Workers that are started again when they end, as a Deployment does. */
export class Pool {
  readonly #place: Place;
  readonly #running = new Set<ChildProcess>();
  #stopping = false;
  /** How each worker ended that did, before the pool was stopped: exit code or signal. */
  readonly ends: (string | number | null)[] = [];
  /** What they said last, for messages. */
  output = "";

  constructor(place: Place, count: number) {
    this.#place = place;
    for (let i = 0; i < count; i++) this.add();
  }

  /** @param again whether it is started again when it ends */
  add({ again = true, node = [] as readonly string[], env = {} } = {}): ChildProcess {
    const args = ["work", "--until", "forever", "--lock", String(LOCK_S), "--grace", "1", "--json"];
    const child = this.#place.start(args, node, env);
    this.#running.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-4000);
      });
    }
    child.once("close", async (code, signal) => {
      this.#running.delete(child);
      if (this.#stopping) return;
      this.ends.push(signal ?? code);
      if (again) {
        await sleep(300);
        if (!this.#stopping) this.add();
      }
    });
    return child;
  }

  /** One of those that run; the longest first. */
  one(): ChildProcess | undefined {
    return this.#running.values().next().value;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const ended = [...this.#running].map((child) => new Promise((done) => child.once("close", done)));
    for (const child of this.#running) child.kill("SIGTERM");
    const late = setTimeout(() => {
      for (const child of this.#running) child.kill("SIGKILL");
    }, 15_000);
    await Promise.all(ended);
    clearTimeout(late);
  }
}
