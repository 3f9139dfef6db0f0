import { checkName, FarmError } from "@loc2vec/core";
import type { ObjectStore } from "@loc2vec/shards";

/**
 * The loss of each step of a model's training; none of a model that was not trained in that store.
 *
 * @throws FarmError `damaged` for a line that is none of its
 */
export async function readLosses(store: ObjectStore, model: string): Promise<number[]> {
  const keys: string[] = [];
  for await (const key of store.list(`models/${checkName("model", model)}/history`)) keys.push(key);
  // `history.ndjson`, then `history-<first step>.ndjson`: a later file replaces what an earlier one says of its steps.
  const losses = new Map<number, number>();
  for (const key of keys.sort((a, b) => a.length - b.length || a.localeCompare(b))) {
    const lines = new TextDecoder().decode(await store.get(key)).split("\n");
    for (const line of lines.filter((text) => text !== "")) {
      const { step, loss } = readLine(line, `${key} in ${store.url}`);
      losses.set(step, loss);
    }
  }
  return [...losses.values()];
}

function readLine(line: string, place: string): { step: number; loss: number } {
  let entry: { step?: unknown; loss?: unknown } | null = null;
  try {
    entry = JSON.parse(line);
  } catch {
    // Said below, as of a line of JSON that is something else.
  }
  if (typeof entry?.step === "number" && typeof entry.loss === "number")
    return { step: entry.step, loss: entry.loss };
  throw new FarmError(
    "damaged",
    `${place}: not a step's figures: ${line.slice(0, 60)}`,
    "remove the file: the training goes on without that part of its curve",
  );
}
