import { groupMetadata, writeMetadata } from "./metadata.ts";
import type { ObjectStore } from "./store.ts";

/** Writes the metadata of a Zarr v3 group. Do it after its arrays: then a group that exists is whole. */
export async function writeGroup(
  store: ObjectStore,
  prefix: string,
  attributes: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeMetadata(store, prefix, groupMetadata(attributes));
}
