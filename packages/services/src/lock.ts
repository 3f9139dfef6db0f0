import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { FarmError } from "@loc2vec/core";
import { onDisk } from "./problems.ts";

/**
 * Runs `work` while no other process (nor another call in this one) holds the lock of the same file. The kernel holds
 * it (flock), so it is free again the moment its holder dies, whatever killed it: there is no stale lock.
 *
 * @throws FarmError `service` when the lock is not had in time, or its folder cannot be written
 */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  { timeoutMs = 600_000 } = {},
): Promise<T> {
  await onDisk(file, async () => {
    await mkdir(dirname(file), { recursive: true });
    await (await open(file, "a", 0o600)).close();
  });
  // The holder lives until its standard input closes: by us below, or by the kernel when we die. It is detached, so
  // that Ctrl-C on the terminal does not free the lock under us.
  const holder = spawn(
    "flock",
    ["-w", String(timeoutMs / 1000), "-E", "75", file, "sh", "-c", "echo held; exec cat >/dev/null"],
    { stdio: ["pipe", "pipe", "ignore"], detached: true },
  );
  holder.stdin.on("error", () => {});
  try {
    const code = await Promise.race([
      once(holder.stdout, "data").then(() => "held"),
      once(holder, "exit").then(([exit]) => exit as number | null),
    ]);
    if (code === 75) {
      throw new FarmError(
        "service",
        `${file}: another process has held this lock for ${timeoutMs / 1000} s`,
        "look for another farm command that hangs while it starts or stops services",
      );
    }
    if (code !== "held") throw new FarmError("service", `${file}: flock ended with ${code}`);
  } catch (error) {
    holder.stdin.end();
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new FarmError("missing", "flock: not installed", "sudo apt-get install util-linux", {
      cause: error,
    });
  }
  const freed = once(holder, "exit");
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await freed;
  }
}
