import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { FarmError } from "@loc2vec/core";
import { onDisk, reasonOf } from "./problems.ts";
import { endProcess } from "./proc.ts";

/** A user of the system that a process runs as, when root starts it. */
export interface Account {
  uid: number;
  gid: number;
}

export interface ServerCommand {
  title: string;
  command: string;
  args: readonly string[];
  /** For its standard input. */
  input?: string;
  /** Where standard output and error go; the log of the run before is kept beside it as `….old`. */
  log: string;
  account?: Account | undefined;
}

/** The environment of the servers: none of the caller's PG… variables, and a locale that every system has. */
export const SERVER_ENV: Readonly<Record<string, string>> = {
  PATH: process.env.PATH ?? "/usr/bin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
};

/**
 * Starts a server in a session of its own (Ctrl-C on our terminal does not reach it, and it outlives us) and waits
 * until `answer` succeeds.
 *
 * @param answer tried again until it returns; a FarmError of it ends the waiting
 * @throws FarmError `service` when the server ends (its last words quoted) or does not answer in time (it is stopped)
 */
export async function startServer<T>(
  { title, command, args, input, log, account }: ServerCommand,
  answer: () => Promise<T>,
  { timeoutMs = 300_000 } = {},
): Promise<T> {
  const output = await onDisk(log, async () => {
    await rename(log, `${log}.old`).catch(() => {});
    return openSync(log, "a", 0o600);
  });
  let child: ChildProcess;
  try {
    child = spawn(command, args, {
      cwd: "/",
      detached: true,
      env: SERVER_ENV,
      stdio: [input === undefined ? "ignore" : "pipe", output, output],
      ...account,
    });
    await once(child, "spawn");
  } catch (error) {
    throw new FarmError("service", `${title}: ${command} does not start: ${reasonOf(error)}`, "", {
      cause: error,
    });
  } finally {
    closeSync(output);
  }
  child.unref();
  child.stdin?.on("error", () => {}); // It ended before it read all: that is seen below.
  child.stdin?.end(input);
  const fail = async (what: string): Promise<FarmError> =>
    new FarmError("service", `the private ${title} ${what}: ${await lastWords(log)}`, `see ${log}`);

  const deadline = Date.now() + timeoutMs;
  while (true) {
    // Asked before the attempt: a server that ended must not be mistaken for another that answers.
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended) throw await fail(`ended at its start with ${child.exitCode ?? child.signalCode}`);
    try {
      return await answer();
    } catch (error) {
      const overdue = Date.now() > deadline;
      if (overdue || error instanceof FarmError) {
        await endProcess(child.pid as number, [
          ["SIGTERM", 10_000],
          ["SIGKILL", 5000],
        ]);
        throw overdue ? await fail(`did not answer in ${timeoutMs / 1000} s (${reasonOf(error)})`) : error;
      }
    }
    await sleep(50);
  }
}

/** The line of a log that tells best why a server ended: its last fatal one, else its last one. */
export async function lastWords(log: string): Promise<string> {
  const lines = (await readFile(log, "utf8").catch(() => ""))
    .split("\n")
    .filter((line) => line.trim() !== "");
  const told = lines.findLast((line) => /fatal|panic|error/i.test(line)) ?? lines.at(-1);
  return told === undefined ? "it left no message" : JSON.stringify(told.trim());
}
