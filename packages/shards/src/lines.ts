import { readArray, writeArray } from "./array.ts";
import type { ObjectStore } from "./store.ts";

/**
 * Writes short texts of some locations, `[location, text]`, as lines of JSON in an array of bytes: compressed, checked, and
 * readable wherever Zarr is. (Its data types for text are not: tensorstore has none of them.)
 *
 * @param dimension name of the array's axis, which no other array has: readers like xarray take a name for one length throughout a group.
 */
export async function writeLines(
  store: ObjectStore,
  prefix: string,
  dimension: string,
  lines: Iterable<readonly [location: number, text: string]>,
): Promise<void> {
  let text = "";
  for (const line of lines) text += `${JSON.stringify(line)}\n`;
  const data = new TextEncoder().encode(text);
  await writeArray(store, prefix, {
    shape: [data.length],
    dtype: "uint8",
    chunkRows: 1 << 20,
    dimensionNames: [dimension],
    attributes: { content: "application/x-ndjson: [location, text]" },
    data,
  });
}

/** By location; empty when there is no such array. */
export async function readLines(store: ObjectStore, prefix: string): Promise<Map<number, string>> {
  const array = await readArray(store, prefix, "uint8");
  if (array === undefined) return new Map();
  const lines = new TextDecoder().decode(array.data).split("\n");
  return new Map(lines.filter((line) => line !== "").map((line) => JSON.parse(line) as [number, string]));
}
