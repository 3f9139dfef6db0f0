import { type Config, errorMessage, FarmError, redact } from "@loc2vec/core";
import { usersOf, withLock } from "./files.ts";
import { postgresService } from "./postgres.ts";
import { redisService } from "./redis.ts";
import type { Service } from "./service.ts";

export type ServiceName = Service["name"];

export interface Services {
  /** Empty unless asked for. */
  redisUrl: string;
  databaseUrl: string;
  /** Which were not up before. */
  started: ServiceName[];
  /** Stops the private servers that nobody else uses and that `servicesUp` did not ask to keep. */
  release(): Promise<void>;
}

export interface ServiceStatus {
  service: ServiceName;
  state: "up" | "down" | "external";
  /** Password hidden. */
  url: string;
  version?: string;
  pid?: number;
}

const servicesOf = (config: Config): Service[] => [redisService(config), postgresService(config)];

/**
 * Sees to it that the servers needed are there: the user's own where a URL is set, else the private ones under
 * `config.home`, started where they are not up.
 *
 * @throws FarmError `service` (unreachable, port taken, does not start), `missing` (not installed)
 */
export async function ensureServices(
  config: Config,
  { need, log = () => {} }: { need: readonly ServiceName[]; log?: (line: string) => void },
): Promise<Services> {
  const urls: Partial<Record<ServiceName, string>> = {};
  const started: ServiceName[] = [];
  const used: Service[] = [];
  const release = async (): Promise<void> => {
    for (const service of used.splice(0).reverse()) {
      await withLock(service.folder, async () => {
        if (usersOf(service.folder).leave() && (await service.probe()) !== undefined) await service.stop();
      });
    }
  };
  try {
    for (const service of servicesOf(config).filter(({ name }) => need.includes(name))) {
      if (service.external !== undefined) {
        await checkExternal(service, service.external);
        urls[service.name] = service.external;
        continue;
      }
      await withLock(service.folder, async () => {
        if ((await service.probe()) === undefined) {
          log(`starting the private ${label(service)}`);
          await service.start();
          started.push(service.name);
        }
        usersOf(service.folder).enter();
        used.push(service);
      });
      urls[service.name] = service.url;
    }
  } catch (error) {
    await release().catch(() => {});
    throw error;
  }
  return { redisUrl: urls.redis ?? "", databaseUrl: urls.database ?? "", started, release };
}

/** Starts the private servers to stay. */
export async function servicesUp(config: Config, log?: (line: string) => void): Promise<ServiceStatus[]> {
  const held = await ensureServices(config, { need: ["redis", "database"], ...(log ? { log } : {}) });
  for (const service of servicesOf(config)) if (service.external === undefined) usersOf(service.folder).keep(true);
  await held.release();
  return servicesStatus(config);
}

/** Stops the private servers, whoever uses them. @returns those that were up */
export async function servicesDown(config: Config): Promise<ServiceName[]> {
  const stopped: ServiceName[] = [];
  for (const service of servicesOf(config)) {
    if (service.external !== undefined) continue;
    await withLock(service.folder, async () => {
      usersOf(service.folder).keep(false);
      if ((await service.probe()) === undefined) return;
      await service.stop();
      stopped.push(service.name);
    });
  }
  return stopped;
}

/** @throws FarmError `service` for a user's own server that cannot be reached, or a port that is another's */
export async function servicesStatus(config: Config): Promise<ServiceStatus[]> {
  const found: ServiceStatus[] = [];
  for (const service of servicesOf(config)) {
    if (service.external !== undefined) {
      const { version } = await checkExternal(service, service.external);
      found.push({ service: service.name, state: "external", url: redact(service.external), version });
      continue;
    }
    const running = await service.probe();
    found.push({ service: service.name, state: running ? "up" : "down", url: redact(service.url), ...running });
  }
  return found;
}

async function checkExternal(service: Service, url: string): Promise<{ version: string }> {
  try {
    return await service.check(url);
  } catch (error) {
    const variable = service.name === "redis" ? "FARM_REDIS_URL" : "FARM_DATABASE_URL";
    throw new FarmError(
      "service",
      `${label(service)} at ${redact(url)}: ${errorMessage(error)}`,
      `start it there, correct ${variable}, or unset it for a private one`,
      { cause: error },
    );
  }
}

const label = ({ name }: Service): string => (name === "redis" ? "Redis" : "PostgreSQL");
