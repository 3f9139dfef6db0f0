import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { PRETRAINED_FOLDER } from "@loc2vec/encoder";
import { type Checkpoint, readFiles } from "./checkpoint.ts";
import { PRETRAINED } from "./model.ts";

/**
 * The model that comes with the farm, as a checkpoint.
 *
 * @throws FarmError `damaged` where its files are not those that were written
 */
export function openPretrained(): Promise<Checkpoint> {
  const pathOf = (name: string): string => fileURLToPath(new URL(name, PRETRAINED_FOLDER));
  return readFiles({
    what: `model ${PRETRAINED}`,
    nameOf: pathOf,
    read: (name) =>
      readFile(pathOf(name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      }),
  });
}
