import { checkName, FarmError } from "@loc2vec/core";
import type { ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import { classesOf, fittedSchema, scoresOf } from "./fitted.ts";

const interval = z.object({ mean: z.number(), low: z.number().nullable(), high: z.number().nullable() });

const savedSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  /** What it tells, for people: `price of lodging.csv`. */
  meaning: z.string(),
  /** Whose vectors it takes. */
  model: z.string(),
  /** SHA-256 of the weights' file that made them, hex. */
  weights_sha256: z.string(),
  /** Numbers of a vector. */
  size: z.int(),
  /** Names of the classes, and the share of each among the labels; absent where numbers are told. */
  classes: z.array(z.string()).optional(),
  prior: z.array(z.number()).optional(),
  /** Whether the numbers are natural logarithms of those that were asked for. */
  is_logarithm: z.boolean(),
  /** Labels that it learned from, and the learner that was chosen by them. */
  labels: z.int(),
  learner: z.string(),
  fitted: fittedSchema,
  /** How well others like it told ground that they had not seen: balanced accuracy or R². */
  score: z.object({ name: z.string(), labels: z.int() }).extend(interval.shape),
});

/** What has learned to tell something of a place by its vector. */
export type SavedProbe = z.infer<typeof savedSchema>;

const keyOf = (name: string): string => `probes/${checkName("probe", name)}.json`;

/** Writes a probe into the store, in place of one of its name. @returns its key @throws FarmError `usage` where its name is none */
export async function saveProbe(store: ObjectStore, probe: SavedProbe): Promise<string> {
  const key = keyOf(probe.name);
  await store.put(key, new TextEncoder().encode(`${JSON.stringify(probe)}\n`));
  return key;
}

/** @returns undefined where there is none of that name @throws FarmError `damaged`, `usage` where the name is none */
export async function openProbe(store: ObjectStore, name: string): Promise<SavedProbe | undefined> {
  const key = keyOf(name);
  const bytes = await store.get(key);
  if (bytes === undefined) return undefined;
  try {
    return savedSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new FarmError(
      "damaged",
      `${key} in ${store.url} is no probe`,
      `pnpm farm:probe --save ${name} writes it anew`,
      { cause: error },
    );
  }
}

/** What a probe says of a place. */
export type Prediction =
  | {
      /** That which is likelier by the largest factor than it is usually, as it was judged. */
      class: string;
      /** How likely each class is, 0 to 1, by name. */
      shares: Record<string, number>;
    }
  /** In the unit that was learned: of logarithms the number itself. */
  | { value: number };

/** @param vectors float32 [size] of each place, by the probe's model */
export function predict(probe: SavedProbe, vectors: readonly Float32Array[]): Prediction[] {
  const { size, classes, prior = [], fitted } = probe;
  const features = new Float32Array(vectors.length * size);
  for (const [i, vector] of vectors.entries()) features.set(vector, i * size);
  const scores = scoresOf(fitted, features, size, classes?.length);
  if (classes === undefined)
    return Array.from(scores, (score) => ({ value: probe.is_logarithm ? Math.exp(score) : score }));
  const told = classesOf(scores, prior);
  return vectors.map((_, row) => ({
    class: classes[told[row] as number] as string,
    shares: Object.fromEntries(classes.map((name, c) => [name, scores[row * classes.length + c] as number])),
  }));
}
