import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FarmError } from "@loc2vec/core";
import { checkKey, checkPrefix, TEMPORARY } from "./keys.ts";
import type { ByteRange, ObjectStore, PutOptions } from "./store.ts";

/** A temporary file older than this was left by a process that died. */
const STALE_MS = 24 * 3600 * 1000;

/**
 * Objects as files under a folder. An object is written to a temporary file, synced, then moved into place, so it is
 * whole or absent even after a power cut; what a dead process left behind is never listed, and removed a day later.
 */
export class FileStore implements ObjectStore {
  readonly url: string;
  readonly #root: string;
  #swept = false;

  constructor(root: string, url: string) {
    this.#root = root;
    this.url = url;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const path = this.#path(key);
    return this.#unlessAbsent("read", path, async () => plain(await readFile(path)));
  }

  async getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined> {
    const path = this.#path(key);
    return this.#unlessAbsent("read", path, async () => {
      const file = await open(path);
      try {
        const { size } = await file.stat();
        const start = "suffix" in range ? Math.max(0, size - range.suffix) : Math.min(range.offset, size);
        const length = Math.min("suffix" in range ? range.suffix : range.length, size - start);
        const bytes = new Uint8Array(length);
        let done = 0;
        while (done < length) {
          const { bytesRead } = await file.read(bytes, done, length - done, start + done);
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return bytes.subarray(0, done);
      } finally {
        await file.close();
      }
    });
  }

  async put(key: string, bytes: Uint8Array, { ifAbsent = false }: PutOptions = {}): Promise<boolean> {
    const path = this.#path(key);
    if (ifAbsent && (await this.head(key)) !== undefined) return false;
    const temporary = join(this.#root, TEMPORARY, randomUUID());
    try {
      await this.#sweep();
      await mkdir(dirname(path), { recursive: true });
      const file = await open(temporary, "wx");
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      if (!ifAbsent) await rename(temporary, path);
      else if (!(await moveIfAbsent(temporary, path))) return false;
      await syncFolder(dirname(path));
      return true;
    } catch (error) {
      throw fileError("write", path, error);
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }

  async head(key: string): Promise<{ size: number } | undefined> {
    const path = this.#path(key);
    return this.#unlessAbsent("read", path, async () => {
      const found = await stat(path);
      return found.isFile() ? { size: found.size } : undefined;
    });
  }

  async *list(prefix: string): AsyncGenerator<string> {
    const slash = checkPrefix(prefix).lastIndexOf("/");
    yield* this.#walk(slash < 0 ? "" : prefix.slice(0, slash + 1), prefix);
  }

  async remove(key: string): Promise<void> {
    const path = this.#path(key);
    await this.#unlessAbsent("remove", path, () => rm(path));
  }

  /** @param folder `""` or ends in `/` */
  async *#walk(folder: string, prefix: string): AsyncGenerator<string> {
    const path = join(this.#root, folder);
    const entries = await this.#unlessAbsent("list", path, () => readdir(path, { withFileTypes: true }));
    for (const entry of entries ?? []) {
      const key = folder + entry.name;
      if (key === TEMPORARY) continue;
      if (entry.isDirectory()) {
        if (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))
          yield* this.#walk(`${key}/`, prefix);
      } else if (key.startsWith(prefix)) yield key;
    }
  }

  /** Makes the folder of temporary files, and once per process removes what is stale in it. */
  async #sweep(): Promise<void> {
    const folder = join(this.#root, TEMPORARY);
    await mkdir(folder, { recursive: true });
    if (this.#swept) return;
    this.#swept = true;
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined && Date.now() - found.mtimeMs > STALE_MS) await rm(path, { force: true });
    }
  }

  #path(key: string): string {
    return join(this.#root, checkKey(key));
  }

  async #unlessAbsent<T>(verb: string, path: string, action: () => Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      if (["ENOENT", "ENOTDIR", "EISDIR", "ERR_FS_EISDIR"].includes(codeOf(error))) return undefined;
      throw fileError(verb, path, error);
    }
  }
}

/** Moves without replacing: a hard link fails where the name is taken, in one step. */
async function moveIfAbsent(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "ENOSYS", "EMLINK"].includes(codeOf(error))) throw error;
    // A file system without hard links. The caller looked just before; two at once may both believe they were first.
    await rename(from, to);
    return true;
  }
}

/** Makes a rename durable. Not every platform can open a folder; then there is nothing to do. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path).catch(() => undefined);
  if (folder === undefined) return;
  try {
    await folder.sync();
  } catch {
    // some network file systems refuse; the rename itself stands
  } finally {
    await folder.close();
  }
}

function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

const FILE_ERRORS: Readonly<Record<string, readonly [what: string, mend: string]>> = {
  ENOSPC: ["no space left on the disk", "free some space, or set FARM_STORE to a larger disk"],
  EDQUOT: ["the disk quota is used up", "free some space, or set FARM_STORE to another disk"],
  EROFS: ["the file system is read-only", "set FARM_STORE to a folder that can be written"],
  EACCES: ["permission denied", "give this user access to the folder, or set FARM_STORE to another"],
  EPERM: ["operation not permitted", "give this user access to the folder, or set FARM_STORE to another"],
  ENOTDIR: ["a part of the path is a file, not a folder", "set FARM_STORE to another folder"],
  EEXIST: ["a part of the path is a file, not a folder", "set FARM_STORE to another folder"],
  EISDIR: ["it is a folder, not a file", "move the folder away"],
};

/** The error of the file system, in one line for the user. */
export function fileError(verb: string, path: string, error: unknown): FarmError {
  if (error instanceof FarmError) return error;
  const [what, mend] = FILE_ERRORS[codeOf(error)] ?? [
    error instanceof Error ? error.message : String(error),
    "",
  ];
  return new FarmError("service", `cannot ${verb} ${path}: ${what}`, mend, { cause: error });
}
