import { FarmError } from "@loc2vec/core";

/** Folder, right under the root of a file store, of objects that are being written: no key may lie in it. */
export const TEMPORARY = ".tmp";

/**
 * @returns the key
 * @throws FarmError `internal` for a key that is absolute, could climb out of the store, or that not every store can hold
 */
export function checkKey(key: string): string {
  const segments = key.split("/");
  const bad =
    key.length > 900 ||
    segments[0] === TEMPORARY ||
    segments.some((part) => part === "" || part === "." || part === ".." || part.length > 200) ||
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
    /[\u0000-\u001f\u007f\\]/.test(key);
  if (bad) throw new FarmError("internal", `${JSON.stringify(key)} is not a key of an object store`);
  return key;
}

/** Like {@link checkKey} for the prefix of a listing: may be empty, and may end anywhere in a key. */
export function checkPrefix(prefix: string): string {
  checkKey(`${prefix}x`);
  return prefix;
}
