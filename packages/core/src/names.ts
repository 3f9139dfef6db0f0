import { FarmError } from "./errors.ts";

/** Names of data sets and models: also part of a key in the object store, so nothing that can climb out of it. */
export const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** The identity of an object store: 64 random bits, hex. */
export const STORE_ID = /^[0-9a-f]{16}$/;

/** @throws FarmError `usage` when the name is not lower-case letters, digits, `.`, `_`, `-` (at most 63, first a letter or digit). */
export function checkName(what: string, name: string): string {
  if (!NAME.test(name) || name.includes("..")) {
    throw new FarmError(
      "usage",
      `${what} ${JSON.stringify(name)} is not a valid name`,
      "use a-z, 0-9, '.', '_', '-', at most 63",
    );
  }
  return name;
}
