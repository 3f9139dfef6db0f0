import { type Mode, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorMessage, FarmError } from "@loc2vec/core";

const LOCK_MS = 60_000;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** @throws FarmError `service` naming the folder: read-only, full, or not ours */
export function makeFolder(path: string, mode: Mode = 0o755): string {
  try {
    mkdirSync(path, { recursive: true, mode });
    return path;
  } catch (error) {
    throw new FarmError(
      "service",
      `${path}: ${errorMessage(error)}`,
      "FARM_HOME names a folder that can be written",
    );
  }
}

/** Runs `work` in one process at a time. A lock whose process has died is taken over. */
export async function withLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const lock = join(makeFolder(folder), "starting.lock");
  const begin = Date.now();
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw new FarmError(
          "service",
          `${lock}: ${errorMessage(error)}`,
          "FARM_HOME names a folder that can be written",
        );
      }
      const holder = Number(readText(lock));
      if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true });
      else if (Date.now() - begin > LOCK_MS) {
        throw new FarmError(
          "service",
          `${lock}: process ${holder} has been starting the service for a minute`,
          "stop it, or remove the file",
        );
      } else await sleep(100);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Who uses a service: one file per process, so that the last one to leave may stop it. */
export function usersOf(folder: string): { enter(): void; leave(): boolean; keep(on: boolean): void } {
  const users = join(folder, "users");
  const own = join(users, String(process.pid));
  return {
    enter: () => {
      makeFolder(users);
      writeFileSync(own, "");
    },
    /** @returns whether nobody is left, and nobody asked to keep it up */
    leave: () => {
      rmSync(own, { force: true });
      return readdirSync(makeFolder(users)).every((name) => {
        const gone = name !== "keep" && !isAlive(Number(name));
        if (gone) rmSync(join(users, name), { force: true });
        return gone;
      });
    },
    keep: (on) => {
      makeFolder(users);
      if (on) writeFileSync(join(users, "keep"), "");
      else rmSync(users, { recursive: true, force: true });
    },
  };
}

/** The last line of a log that says something. */
export function lastLine(path: string): string {
  return (
    readText(path)
      ?.split("\n")
      .findLast((line) => line.trim() !== "") ?? "it left no log"
  );
}
