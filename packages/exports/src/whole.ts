import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { FarmError } from "@loc2vec/core";

/** A name beside `path` that nobody has, and that listings leave out. */
const beside = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}`);

/**
 * Writes a file whole or not at all: under another name beside it, which is removed when anything fails, and then moved.
 *
 * @returns its size, bytes
 * @throws FarmError `usage` where there is a folder of that name; what `chunks` throws
 */
export async function writeWholeFile(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<number> {
  if ((await stat(path).catch(() => undefined))?.isDirectory())
    throw new FarmError("usage", `${path} is a folder`, "name a file in it");
  await mkdir(dirname(path), { recursive: true });
  const temporary = beside(path);
  try {
    // Flushed, so that after a power cut no empty file has the name.
    const file = createWriteStream(temporary, { flags: "wx", flush: true });
    await pipeline(chunks, file, { signal });
    await rename(temporary, path);
    return file.bytesWritten;
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Has a folder written whole or not at all, in place of one that an earlier call wrote.
 *
 * @param mark file that every such folder has: one without it is somebody else's
 * @param write fills the folder that it is given
 * @throws FarmError `usage` where something else has the name; what `write` throws
 */
export async function writeWholeFolder(
  path: string,
  mark: string,
  write: (folder: string) => Promise<void>,
): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  const names = there?.isDirectory() ? await readdir(path) : [];
  if (there !== undefined && !(there.isDirectory() && (names.length === 0 || names.includes(mark))))
    throw new FarmError(
      "usage",
      `${path} is there, and no export of this kind`,
      "name another folder with --out",
    );
  await mkdir(dirname(path), { recursive: true });
  const [temporary, old] = [beside(path), beside(path)];
  try {
    await mkdir(temporary);
    await write(temporary);
    if (there !== undefined) await rename(path, old);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}
