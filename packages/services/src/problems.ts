import { once } from "node:events";
import { createServer } from "node:net";
import { errorMessage, FarmError } from "@loc2vec/core";
import { listenerOn } from "./proc.ts";

const FILE_PROBLEMS: Readonly<Record<string, readonly [what: string, mend: string]>> = {
  EACCES: ["no permission", "change its owner, or let FARM_HOME name a folder of your own"],
  EPERM: ["no permission", "change its owner, or let FARM_HOME name a folder of your own"],
  EROFS: ["the file system is read-only", "let FARM_HOME name a folder on a disk that can be written"],
  ENOSPC: ["the disk is full", "free some space, or let FARM_HOME name a folder on another disk"],
  EDQUOT: ["the quota is used up", "free some space, or let FARM_HOME name a folder on another disk"],
  ENOTDIR: ["a part of the path is a file", "let FARM_HOME name a folder"],
  EEXIST: ["a file is in the way", "move it away, or let FARM_HOME name another folder"],
};

/**
 * Runs `work`, and says of a disk that cannot be written what is wrong with which file.
 *
 * @param place named where the system does not tell the file (a write that fails does not)
 */
export async function onDisk<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const problem = FILE_PROBLEMS[code ?? ""];
    if (problem === undefined) throw error;
    throw new FarmError("service", `${path ?? place}: cannot be written: ${problem[0]}`, problem[1], {
      cause: error,
    });
  }
}

/** @throws FarmError `service` when nobody can listen on the port: it is taken, or reserved for root */
export async function checkPort(title: string, port: number, variable: string): Promise<void> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const place = `the private ${title}, port ${port}`;
    if (code === "EADDRINUSE") {
      const who = listenerOn(port) ?? "another program";
      throw new FarmError(
        "service",
        `${place}: ${who} listens there already`,
        `stop that, or set ${variable}`,
        { cause: error },
      );
    }
    throw new FarmError("service", `${place}: ${errorMessage(error)}`, `set ${variable}`, { cause: error });
  } finally {
    server.close();
  }
}

/** One line of anything thrown. */
export function reasonOf(error: unknown): string {
  return (errorMessage(error).split("\n")[0] ?? "").trim();
}

/** @throws Error when `action` takes longer */
export async function within<T>(timeoutMs: number, action: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([action(), expired]);
  } finally {
    clearTimeout(timer);
  }
}
