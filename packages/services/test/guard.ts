import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/**
 * Sees to it that a home's services stop and its files go when this process ends, be it by Ctrl-C or kill -9.
 *
 * @returns does it now
 */
export function guardHome(home: string): () => Promise<void> {
  const guard = spawn(process.execPath, [join(import.meta.dirname, "take-away.mjs")], {
    detached: true, // Ctrl-C on the terminal must not reach it.
    stdio: ["pipe", "ignore", "inherit"],
    env: { PATH: process.env.PATH, FARM_HOME: home },
  });
  const ended = once(guard, "exit");
  return async () => {
    guard.stdin?.end();
    const [code] = await ended;
    if (code !== 0) throw new Error(`${home}: its services could not be taken away`);
  };
}
