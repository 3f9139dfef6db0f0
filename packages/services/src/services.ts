import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Config, FarmError, processStart, redact } from "@loc2vec/core";
import { withLock } from "./lock.ts";
import { database } from "./postgres.ts";
import { onDisk, reasonOf } from "./problems.ts";
import { redis } from "./redis.ts";
import type { Log, Running, Service, ServiceName } from "./service.ts";

export const SERVICES: readonly Service[] = [redis, database];

export interface EnsureOptions<Name extends ServiceName = ServiceName> {
  need: readonly Name[];
  /** Told what is being done, a line at a time. */
  log?: Log;
}

/** Services that answer, and how to let go of them. */
export interface Services<Name extends ServiceName = ServiceName> {
  /** Undefined when it was not asked for. With its password: show it through `redact`. */
  redisUrl: "redis" extends Name ? string : undefined;
  /** Undefined when it was not asked for. With its password: show it through `redact`. */
  databaseUrl: "database" extends Name ? string : undefined;
  /** What this call started. */
  started: ServiceName[];
  /**
   * Lets go of the services. A private one stops when nobody uses it any more, unless `servicesUp` asked for it.
   * Further calls do nothing.
   */
  release(): Promise<void>;
}

export interface ServiceStatus {
  service: ServiceName;
  /** `external`: a URL from the settings, whether it answers or not. */
  state: "up" | "down" | "external";
  /** Password hidden; of a private one that is down, where it would be. */
  url: string;
  pid?: number;
  version?: string;
  /** Why an external service, or a private one that runs, does not answer. */
  problem?: string;
}

// The marks below lie in the service's folder. All of them are read and written under the lock.

/** Exists while the private server shall run whether it is used or not. */
const keptMark = (folder: string): string => join(folder, "kept");
/** One empty file per user of the private server, `<pid>.<start time>.<id>`. */
const usersFolder = (folder: string): string => join(folder, "users");

async function addUser(folder: string): Promise<string> {
  const mark = join(usersFolder(folder), `${process.pid}.${processStart(process.pid)}.${randomUUID()}`);
  await mkdir(usersFolder(folder), { recursive: true });
  await writeFile(mark, "");
  return mark;
}

/** How many users live; the marks of those that died are removed. */
async function countUsers(folder: string): Promise<number> {
  let count = 0;
  for (const name of await readdir(usersFolder(folder)).catch(() => [])) {
    const [pid, started] = name.split(".");
    if (processStart(Number(pid)) === started) count++;
    else await rm(join(usersFolder(folder), name), { force: true });
  }
  return count;
}

function locked<T>(config: Config, work: () => Promise<T>): Promise<T> {
  if (process.platform !== "linux") {
    throw new FarmError(
      "missing",
      `private services run on Linux only, not on ${process.platform}`,
      "let FARM_REDIS_URL and FARM_DATABASE_URL name servers (infra/ has a compose file)",
    );
  }
  return withLock(join(config.home, "services.lock"), work);
}

/** Finds the private server or starts it. Under the lock. */
async function findOrStart(
  service: Service,
  config: Config,
  log: Log,
): Promise<{ running: Running; started: boolean }> {
  let running = await service.find(config);
  const started = running === undefined;
  if (running === undefined) {
    running = await service.start(config, log);
    const folder = service.folder(config);
    // What a run before this one left says nothing about this one.
    await rm(keptMark(folder), { force: true });
    await rm(usersFolder(folder), { recursive: true, force: true });
  } else if (running.port !== service.port(config)) {
    log(`the private ${service.title} runs already, on port ${running.port}`);
  }
  try {
    await service.prepare(running);
  } catch (error) {
    if (started) await service.stop(running.pid);
    throw error;
  }
  return { running, started };
}

/** Stops the private server if nobody lives who uses it and nobody asked to keep it. Under the lock. */
async function stopIfUnused(service: Service, config: Config): Promise<void> {
  const folder = service.folder(config);
  if (existsSync(keptMark(folder)) || (await countUsers(folder)) > 0) return;
  const pid = await service.processOf(config);
  if (pid !== undefined) await service.stop(pid);
}

/**
 * Makes sure that the services answer: those that the settings name by URL are checked, the others run as private
 * servers under `config.home`, started when they do not run yet. Safe to call from many processes at once.
 *
 * @throws FarmError `service` for a server that cannot be reached or started (with host, port, and the setting that
 * changes it), `missing` for a program that is not installed; nothing that was started is left running then
 */
export async function ensureServices<Name extends ServiceName>(
  config: Config,
  { need, log = () => {} }: EnsureOptions<Name>,
): Promise<Services<Name>> {
  const urls: Partial<Record<ServiceName, string>> = {};
  const started: ServiceName[] = [];
  const users: { service: Service; mark: string }[] = [];
  const wanted = SERVICES.filter(({ name }) => (need as readonly ServiceName[]).includes(name));

  const release = async (): Promise<void> => {
    const held = users.splice(0);
    if (held.length === 0) return;
    await locked(config, async () => {
      for (const { service, mark } of held) {
        await rm(mark, { force: true });
        await stopIfUnused(service, config);
      }
    });
  };

  for (const service of wanted) {
    const url = service.externalUrl(config);
    if (url === undefined) continue;
    await service.checkExternal(url);
    urls[service.name] = url;
  }
  const embedded = wanted.filter(({ name }) => urls[name] === undefined);
  try {
    for (const service of embedded) {
      await locked(config, async () => {
        const outcome = await findOrStart(service, config, log);
        try {
          users.push({
            service,
            mark: await onDisk(service.folder(config), () => addUser(service.folder(config))),
          });
        } catch (error) {
          if (outcome.started) await service.stop(outcome.running.pid);
          throw error;
        }
        urls[service.name] = outcome.running.url;
        if (outcome.started) started.push(service.name);
      });
    }
  } catch (error) {
    await release();
    throw error;
  }
  return { redisUrl: urls.redis, databaseUrl: urls.database, started, release } as Services<Name>;
}

/**
 * Starts the private servers (those that no URL replaces) and keeps them running until `servicesDown`.
 *
 * @throws FarmError as `ensureServices`; the services before the one that failed stay up
 */
export async function servicesUp(
  config: Config,
  { log = () => {} }: { log?: Log } = {},
): Promise<ServiceStatus[]> {
  for (const service of SERVICES) {
    const url = service.externalUrl(config);
    if (url !== undefined) await service.checkExternal(url);
    else {
      await locked(config, async () => {
        await findOrStart(service, config, log);
        await onDisk(service.folder(config), () => writeFile(keptMark(service.folder(config)), ""));
      });
    }
  }
  return servicesStatus(config);
}

/**
 * Stops the private servers, also when they are used. What a URL names is left alone, but a private server that ran
 * before the URL was set is stopped too.
 *
 * @returns what was stopped
 */
export async function servicesDown(
  config: Config,
  { log = () => {} }: { log?: Log } = {},
): Promise<ServiceName[]> {
  const stopped: ServiceName[] = [];
  for (const service of SERVICES) {
    if (!existsSync(service.folder(config))) continue;
    await locked(config, async () => {
      const pid = await service.processOf(config);
      if (pid !== undefined) {
        log(`stopping the private ${service.title} (process ${pid})`);
        if (!(await service.stop(pid))) {
          throw new FarmError(
            "service",
            `the private ${service.title} (process ${pid}) does not stop`,
            `kill -9 ${pid}`,
          );
        }
        stopped.push(service.name);
      }
      await rm(keptMark(service.folder(config)), { force: true });
      await rm(usersFolder(service.folder(config)), { recursive: true, force: true });
    });
  }
  return stopped;
}

/** How the services are. Changes nothing and does not throw for a service that is out of order. */
export async function servicesStatus(config: Config): Promise<ServiceStatus[]> {
  return Promise.all(
    SERVICES.map(async (service): Promise<ServiceStatus> => {
      const url = service.externalUrl(config);
      try {
        if (url !== undefined) {
          const version = await service.checkExternal(url);
          return { service: service.name, state: "external", url: redact(url), version };
        }
        const running = await service.find(config);
        if (running !== undefined) {
          const { pid, version } = running;
          return { service: service.name, state: "up", url: redact(running.url), pid, version };
        }
        const place = `127.0.0.1:${service.port(config)}`;
        const scheme = service.name === "redis" ? "redis" : "postgresql";
        return { service: service.name, state: "down", url: `${scheme}://${place}` };
      } catch (error) {
        const shown = url === undefined ? `127.0.0.1:${service.port(config)}` : redact(url);
        const state = url === undefined ? "down" : "external";
        return { service: service.name, state, url: shown, problem: reasonOf(error) };
      }
    }),
  );
}
