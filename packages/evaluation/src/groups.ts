import { mean } from "@loc2vec/numeric";
import type { Checkpoint } from "@loc2vec/trainer";
import type { Evaluated, Figures, Group } from "./result.ts";

/**
 * Models that were trained alike but for the seed: with another one each.
 *
 * @returns indices of the models of each group, in the order of its first; those of one model are among them
 */
export function groupBySeed(checkpoints: readonly Pick<Checkpoint, "settings">[]): number[][] {
  const groups: { like: string; seeds: Set<number>; members: number[] }[] = [];
  for (const [at, { settings }] of checkpoints.entries()) {
    const { seed, ...others } = settings;
    const like = JSON.stringify(others);
    const group = groups.find((one) => one.like === like && !one.seeds.has(seed));
    if (group === undefined) groups.push({ like, seeds: new Set([seed]), members: [at] });
    else {
      group.seeds.add(seed);
      group.members.push(at);
    }
  }
  return groups.map(({ members }) => members);
}

/** @param results of the models, in the order of the checkpoints */
export function describeGroup(
  members: readonly number[],
  checkpoints: readonly Pick<Checkpoint, "settings" | "step">[],
  results: readonly Evaluated[],
): Group {
  const models = members.map((at) => results[at] as Evaluated);
  const chosen = members.map((at) => checkpoints[at] as (typeof checkpoints)[number]);
  const figures = models.map(figuresOf);
  return {
    models: models.map(({ name }) => name),
    seeds: chosen.map(({ settings }) => settings.seed),
    steps: chosen.map(({ step }) => step),
    size: (models[0] as Evaluated).size,
    mean: combine(figures, mean),
    deviation: combine(figures, deviationOf),
    minimum: combine(figures, (values) => Math.min(...values)),
    maximum: combine(figures, (values) => Math.max(...values)),
  };
}

function figuresOf({ name, kind, size, step, loss, words, ...figures }: Evaluated): Figures {
  return figures;
}

/** One value of several that are alike in all but their numbers, number by number. */
function combine<T>(values: readonly T[], by: (numbers: readonly number[]) => number): T {
  const [first] = values;
  if (typeof first === "number") return by(values as readonly number[]) as T;
  return Object.fromEntries(
    Object.keys(first as object).map((name) => [
      name,
      combine(
        values.map((value) => (value as Record<string, unknown>)[name]),
        by,
      ),
    ]),
  ) as T;
}

/** The standard deviation of a sample: by the number of values less one. */
function deviationOf(values: readonly number[]): number {
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / Math.max(1, values.length - 1));
}
