import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { FarmError } from "@loc2vec/core";
import { type FileMark, hasMark } from "./marks.ts";

/** What a whole file is packed with, of what this package unpacks. */
export type Packing = "gzip" | "bzip2" | "zstd";

const PACKINGS = ["gzip", "bzip2", "zstd"] as const satisfies readonly (Packing & FileMark)[];

/** What a file that begins with these bytes is packed with. */
export function packingOf(head: Buffer): Packing | undefined {
  return PACKINGS.find((packing) => hasMark(head, packing));
}

/**
 * The bytes of a file without its packing, as they come.
 *
 * @param name the file's name for errors
 * @throws FarmError `input` where the packed data are damaged or cut off, `missing` without bzip2; whatever reading throws
 */
export async function* unpack(
  path: string,
  packing: Packing | undefined,
  name = path,
): AsyncGenerator<Buffer> {
  const file = createReadStream(path);
  let stream: Readable = file;
  let ended: Promise<number | null> | undefined;
  let stop = (): unknown => file.destroy();
  if (packing === "bzip2") {
    // Node has no bzip2; osmium reads the first of several streams only, which pbzip2 and lbzip2 write.
    const child = spawn("bzip2", ["-dc"], { stdio: ["pipe", "pipe", "ignore"] });
    ended = new Promise((done, fail) => {
      child.once("error", () =>
        fail(new FarmError("missing", "bzip2 is not installed", "apt-get install bzip2")),
      );
      child.once("close", done);
    });
    ended.catch(() => {});
    child.stdin.on("error", () => {});
    file.pipe(child.stdin);
    stream = child.stdout;
    stop = () => child.kill();
  } else if (packing !== undefined) {
    const unpacker = packing === "gzip" ? createGunzip() : createZstdDecompress();
    file.on("error", (error) => unpacker.destroy(error));
    stream = file.pipe(unpacker);
  }
  const damaged = (): FarmError =>
    new FarmError("input", `${name}: its ${packing} data are damaged or cut off`, "fetch it again");
  try {
    for await (const chunk of stream) yield chunk as Buffer;
    if (ended !== undefined && (await ended) !== 0) throw damaged();
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code);
    throw /^(Z_|ZSTD|ERR_ZSTD|ERR_BUFFER|ERR__ERROR)/.test(code) ? damaged() : error;
  } finally {
    file.destroy();
    stop();
  }
}
