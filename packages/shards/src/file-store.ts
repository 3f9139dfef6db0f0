import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorMessage, FarmError } from "@loc2vec/core";
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
      const info = await stat(path);
      return info.isFile() ? { size: info.size } : undefined;
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
      const info = await stat(path).catch(() => undefined);
      if (info !== undefined && Date.now() - info.mtimeMs > STALE_MS) await rm(path, { force: true });
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

const SPACE = "free some space, or set FARM_STORE to a larger disk";
const ACCESS = "give this user access to the folder, or set FARM_STORE to another";
const ELSEWHERE = "set FARM_STORE to another folder";
const DISK =
  "look at the system's log (dmesg): disk, cable or controller may be failing; then pnpm farm:verify";
const SERVER = "mount it again, and look at the file server and the way to it";
const SHORTER = "set FARM_STORE to a folder with a shorter path";
const FILES = "raise the limit of open files (ulimit -n), or let fewer workers run";
const FILE_ERRORS: Readonly<Record<string, readonly [what: string, mend: string]>> = {
  ENOSPC: ["no space left on the disk", SPACE],
  EDQUOT: ["the disk quota is used up", "free some space, or set FARM_STORE to another disk"],
  EFBIG: ["the file is too large for the file system", "set FARM_STORE to another disk"],
  EROFS: ["the file system is read-only", "set FARM_STORE to a folder that can be written"],
  EACCES: ["permission denied", ACCESS],
  EPERM: ["operation not permitted", ACCESS],
  ENOTDIR: ["a part of the path is a file, not a folder", ELSEWHERE],
  EEXIST: ["a part of the path is a file, not a folder", ELSEWHERE],
  ELOOP: ["its symbolic links lead in a circle", ELSEWHERE],
  EISDIR: ["it is a folder, not a file", "move the folder away"],
  ENAMETOOLONG: ["the path is too long for the file system", SHORTER],
  EMFILE: ["this process has too many files open", FILES],
  ENFILE: ["the system has too many files open", FILES],
  ENOMEM: ["the system has no memory left", "let fewer workers run"],
  EIO: ["the disk has failed to read or write", DISK],
  EUCLEAN: ["the file system is damaged", DISK],
  ENXIO: ["the device is gone", DISK],
  ENODEV: ["the device is gone", DISK],
  ESTALE: ["the file server no longer knows the folder", SERVER],
  ETIMEDOUT: ["the file server does not answer", SERVER],
  EHOSTDOWN: ["the file server does not answer", SERVER],
  EREMOTEIO: ["the file server has failed", SERVER],
  ENOTCONN: ["the mount has lost its connection", SERVER],
};

/** The error of the file system, with its code, in one line for the user. */
export function fileError(verb: string, path: string, error: unknown): FarmError {
  if (error instanceof FarmError) return error;
  const code = codeOf(error);
  const [what, mend] = FILE_ERRORS[code] ?? [errorMessage(error), "see to the disk of FARM_STORE"];
  const named = FILE_ERRORS[code] === undefined ? what : `${what} (${code})`;
  return new FarmError("object-store", `cannot ${verb} ${path}: ${named}`, mend, { cause: error });
}
