import { resolve } from "node:path";
import { type Config, readConfig } from "@loc2vec/core";
import { loadProfile, type Profile } from "@loc2vec/gis";
import { ensureServices, type ServiceName, type Services } from "@loc2vec/services";
import { type ObjectStore, openStore } from "@loc2vec/shards";

/** Folder of the project. */
export const ROOT = resolve(import.meta.dirname, "../../..");

/** What every command works with. */
export interface Context {
  readonly config: Config;
  /** Given at Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  readonly quiet: boolean;
  /** Whether the result is to be JSON. */
  readonly json: boolean;
  /** Says what is being done, on stderr. */
  log(line: string): void;
  /** The outcome: lines for people, or the value as one line of JSON. */
  result(value: unknown, lines: readonly string[]): void;
  store(): ObjectStore;
  profile(): Promise<Profile>;
}

export interface GlobalOptions {
  json?: boolean;
  quiet?: boolean;
}

export function createContext({ json = false, quiet = false }: GlobalOptions, signal: AbortSignal): Context {
  const config = readConfig(ROOT);
  return {
    config,
    signal,
    quiet,
    json,
    log: (line) => {
      if (!quiet) process.stderr.write(`${line}\n`);
    },
    result: (value, lines) => {
      process.stdout.write(json ? `${JSON.stringify(value)}\n` : lines.map((line) => `${line}\n`).join(""));
    },
    store: () => openStore(config.store, { endpoint: config.s3Endpoint }),
    profile: () => loadProfile(config.style),
  };
}

/** Runs `work` with the services, and lets them go whatever happens. */
export async function withServices<T, Name extends ServiceName>(
  context: Context,
  need: readonly Name[],
  work: (services: Services<Name>) => Promise<T>,
): Promise<T> {
  const services = await ensureServices(context.config, { need, log: context.log });
  try {
    return await work(services);
  } finally {
    await services.release();
  }
}
