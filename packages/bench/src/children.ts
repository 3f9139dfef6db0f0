import { type ChildProcess, type ForkOptions, fork } from "node:child_process";
import { once } from "node:events";
import { FarmError } from "@loc2vec/core";

/** Both ends of the talk between a bench and its processes: a task, `ready`, `go`, and an answer. */

/** In the child: what the bench says next. */
export const next = (): Promise<unknown> => new Promise((resolve) => process.once("message", resolve));

/** In the child. */
export const send = (message: unknown): Promise<void> =>
  new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()));

/** In the bench: what a child says next. @throws FarmError `internal` when it ends instead */
export async function answer(child: ChildProcess): Promise<unknown> {
  const ended = once(child, "exit").then(([code]) => {
    throw new FarmError("internal", `a process of the bench ended with code ${code}`);
  });
  ended.catch(() => {});
  const [message] = await Promise.race([once(child, "message"), ended]);
  return message;
}

/** What Node loads first in a process that is to end with the bench; the process needs a channel to the bench. */
export const TIED = ["--import", new URL("./tie.js", import.meta.url).href];

/** Starts a script as a process that ends with this one, however this one ends. */
export const forkTied = (
  script: string | URL,
  args: readonly string[] = [],
  options: Omit<ForkOptions, "execArgv"> = {},
): ChildProcess => fork(script, args, { ...options, execArgv: [...process.execArgv, ...TIED] });

/** Starts a process for each task, and runs `work` when all are ready; ends them whatever happens, and when `signal` is given. */
export async function withChildren<T>(
  script: URL,
  tasks: readonly object[],
  signal: AbortSignal,
  work: (children: readonly ChildProcess[]) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const children = tasks.map(() => forkTied(script));
  const end = (): void => {
    for (const child of children) child.kill();
  };
  signal.addEventListener("abort", end);
  try {
    const ready = children.map(answer);
    for (const [i, child] of children.entries()) child.send(tasks[i] as object);
    await Promise.all(ready);
    return await work(children);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}
