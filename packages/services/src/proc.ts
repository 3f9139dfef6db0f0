import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { processStart } from "@loc2vec/core";

// What Linux tells about processes. A pid alone proves nothing (it may belong to another program by now), so each
// question here also asks for the start time or the working folder.

/** Whether the process runs with `folder` (a real path, without links) as its working folder. */
export function worksIn(pid: number, folder: string): boolean {
  try {
    return processStart(pid) !== undefined && readlinkSync(`/proc/${pid}/cwd`) === folder;
  } catch {
    return false;
  }
}

function allPids(): number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

/** The pids of all processes of a program that work in `folder`. */
export function processesIn(folder: string, program: string): number[] {
  return allPids().filter((pid) => worksIn(pid, folder) && programOf(pid) === program);
}

/** Who listens on a TCP port: `process 17 (redis-server)`; undefined when the kernel does not show it to us. */
export function listenerOn(port: number): string | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const sockets = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    try {
      for (const line of readFileSync(table, "latin1").split("\n").slice(1)) {
        const fields = line.trim().split(/\s+/);
        if (fields[1]?.endsWith(`:${hex}`) && fields[3] === "0A") sockets.add(`socket:[${fields[9]}]`);
      }
    } catch {}
  }
  for (const pid of allPids()) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        try {
          if (sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`))) return `process ${pid} (${programOf(pid)})`;
        } catch {}
      }
    } catch {}
  }
  return undefined;
}

/**
 * Ends a process: each signal in turn, with the milliseconds to wait for its effect.
 *
 * @returns whether it is gone
 */
export async function endProcess(
  pid: number,
  steps: readonly (readonly [NodeJS.Signals, number])[],
): Promise<boolean> {
  const started = processStart(pid);
  const runs = (): boolean => started !== undefined && processStart(pid) === started;
  for (const [signal, patienceMs] of steps) {
    if (!runs()) break;
    try {
      process.kill(pid, signal);
    } catch {}
    const deadline = Date.now() + patienceMs;
    while (runs() && Date.now() < deadline) await sleep(20);
  }
  return !runs();
}
