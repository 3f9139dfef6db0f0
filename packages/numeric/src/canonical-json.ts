/**
 * JSON with the keys of all objects sorted by their UTF-16 code units, and nothing between tokens: the same text for the
 * same value, in whatever order its keys were written. Otherwise as `JSON.stringify`: what JSON cannot hold, such as
 * undefined, is left out of objects and null in arrays.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    item !== null && typeof item === "object" && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
