import { checkName } from "@loc2vec/core";

/** Where a model's objects lie in the store. @throws FarmError `usage` for a bad name */
export function modelPrefix(name: string): string {
  return `models/${checkName("model", name)}`;
}

/** A value as an object of the store: indented JSON, UTF-8. */
export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}
