import { FarmError } from "@loc2vec/core";
import { describe, type ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import type { HistoryEntry } from "./figures.ts";
import { modelPrefix } from "./model.ts";
import { encodeEvents } from "./tensorboard.ts";

/** Steps of a file of the history: a checkpoint writes but the last file again. */
const FILE_STEPS = 10_000;

/** `history.ndjson` has the first steps, `history-000010001.ndjson` those from 10,001 on, and so forth. */
function historyKey(model: string, file: number): string {
  const first = file * FILE_STEPS + 1;
  return `${modelPrefix(model)}/history${file === 0 ? "" : `-${String(first).padStart(9, "0")}`}.ndjson`;
}

/** Ten digits: in the order of their names, TensorBoard reads one file after the other. */
function eventsKey(model: string, first: number): string {
  return `${modelPrefix(model)}/events/events.out.tfevents.${String(first).padStart(10, "0")}.loc2vec`;
}

const fileOf = (step: number): number => Math.floor((step - 1) / FILE_STEPS);

/** The keys of the history's files, by the first step of each; ascending. */
async function listHistory(store: ObjectStore, model: string): Promise<Map<number, string>> {
  const keys: [number, string][] = [];
  for await (const key of store.list(`${modelPrefix(model)}/history`)) {
    const [, first] = /\/history(?:-(\d+))?\.ndjson$/.exec(key) ?? [];
    if (key.endsWith(".ndjson")) keys.push([Number(first ?? 1), key]);
  }
  return new Map(keys.sort(([a], [b]) => a - b));
}

const entrySchema = z.object({
  step: z.int().min(1),
  loss: z.number(),
  positive: z.number(),
  negative: z.number(),
  accuracy: z.number(),
  seconds: z.number(),
  waited: z.number(),
});

/**
 * A model's history, step by step; empty before its first checkpoint. A file counts up to where the next begins.
 *
 * @throws FarmError `damaged` naming the file and the line that is damaged
 */
export async function readHistory(store: ObjectStore, model: string): Promise<HistoryEntry[]> {
  const files = [...(await listHistory(store, model))];
  const history: HistoryEntry[] = [];
  for (const [at, [, key]] of files.entries()) {
    const end = files[at + 1]?.[0] ?? Number.POSITIVE_INFINITY;
    for (const [i, line] of new TextDecoder()
      .decode(await store.get(key))
      .split("\n")
      .entries()) {
      if (line === "") continue;
      const entry = parseEntry(line, `${key} in ${store.url}, line ${i + 1}`);
      if (entry.step < end) history.push(entry);
    }
  }
  return history;
}

function parseEntry(line: string, place: string): HistoryEntry {
  try {
    const entry: unknown = JSON.parse(line);
    entrySchema.parse(entry);
    return entry as HistoryEntry;
  } catch (error) {
    throw new FarmError(
      "damaged",
      `${place}: ${describe(error)}`,
      "remove the file: the training goes on without that part of its curve",
      { cause: error },
    );
  }
}

export interface History {
  /** In memory; what is added here is kept by the next `save`. */
  readonly entries: HistoryEntry[];
  /**
   * Writes what is new. TensorBoard gets it in files of their own, as it never looks back into one: at most a hundredth of
   * the training later, so that there are hundreds of them and not tens of thousands.
   *
   * @param all TensorBoard's files too
   */
  save(all: boolean): Promise<void>;
}

/** Opens the history of a training that goes on after `step`: what lies beyond it is forgotten. */
export async function openHistory(store: ObjectStore, model: string, step: number): Promise<History> {
  const entries = (await readHistory(store, model)).filter((entry) => entry.step <= step);
  let saved = entries.length;
  /** Index of the first entry that TensorBoard has not got; undefined until its files were looked at. */
  let shown: number | undefined;

  /** Removes what is beyond `step`. @returns index of the first entry of TensorBoard's last file, which is written anew */
  const begin = async (): Promise<number> => {
    for (const [first, key] of await listHistory(store, model))
      if (first > Math.max(1, step)) await store.remove(key);
    let last = 1;
    for await (const key of store.list(`${modelPrefix(model)}/events/`)) {
      const first = Number(/\.tfevents\.(\d{10})\.loc2vec$/.exec(key)?.[1] ?? Number.POSITIVE_INFINITY);
      if (first > step) await store.remove(key);
      else last = Math.max(last, first);
    }
    return Math.max(
      0,
      entries.findIndex((entry) => entry.step >= last),
    );
  };

  return {
    entries,
    async save(all) {
      shown ??= await begin();
      const last = entries.at(-1);
      const unsaved = entries[saved];
      if (last === undefined) return;
      if (unsaved !== undefined) {
        for (let file = fileOf(unsaved.step); file <= fileOf(last.step); file++) {
          const lines = entries
            .filter((entry) => fileOf(entry.step) === file)
            .map((entry) => `${JSON.stringify(entry)}\n`);
          await store.put(historyKey(model, file), new TextEncoder().encode(lines.join("")));
        }
        saved = entries.length;
      }
      const first = entries[shown];
      if (first !== undefined && (all || last.step - first.step >= first.step / 100)) {
        await store.put(eventsKey(model, first.step), encodeEvents(entries, shown));
        shown = entries.length;
      }
    },
  };
}
