import { resolve } from "node:path";
import { type Config, type Progress, type ProgressOptions, readConfig } from "@loc2vec/core";
import { loadProfile, type Profile } from "@loc2vec/gis";
import { ensureServices, type ServiceName, type Services } from "@loc2vec/services";
import { type ObjectStore, openStore } from "@loc2vec/shards";

/** Folder of the project. */
export const ROOT = resolve(import.meta.dirname, "../../..");

/** What the stages work with: the settings, what they open, and whom they tell how far they are. */
export interface FarmContext {
  readonly config: Config;
  /** Given when the work is to stop. */
  readonly signal: AbortSignal;
  /** Says what is being done. */
  log(line: string): void;
  /** Shows how far long work is. */
  progress(work: Omit<ProgressOptions, "stream" | "quiet">): Progress;
  store(): ObjectStore;
  profile(): Promise<Profile>;
}

/**
 * A context with the settings of the environment.
 *
 * @throws FarmError `usage` where a setting is wrong
 */
export function createFarmContext(face: Pick<FarmContext, "signal" | "log" | "progress">): FarmContext {
  const config = readConfig(ROOT);
  return {
    ...face,
    config,
    store: () => openStore(config.store, { endpoint: config.s3Endpoint }),
    profile: () => loadProfile(config.style),
  };
}

/** Runs `work` with the services, and lets them go whatever happens. */
export async function withServices<T, Name extends ServiceName>(
  { config, log }: Pick<FarmContext, "config" | "log">,
  need: readonly Name[],
  work: (services: Services<Name>) => Promise<T>,
): Promise<T> {
  const services = await ensureServices(config, { need, log });
  try {
    return await work(services);
  } finally {
    await services.release();
  }
}

/**
 * The settings of the benches' own servers: private ones with data of their own in `bench` of FARM_HOME, whatever servers
 * the user has.
 */
export function benchConfig(config: Config): Config {
  const home = resolve(config.home, "bench");
  return { ...config, home, store: `file://${home}/store`, redisUrl: undefined, databaseUrl: undefined };
}
