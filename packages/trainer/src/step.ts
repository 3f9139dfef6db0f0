import {
  ADAM,
  type AdamState,
  adamStep,
  computeObjective,
  type Encoder,
  embeddingSize,
  structureOf,
} from "@loc2vec/encoder";
import type { MiniBatch } from "./feed.ts";
import type { HistoryEntry } from "./figures.ts";
import { explosion, findInfinite } from "./guard.ts";
import { rateAt } from "./schedule.ts";
import type { Settings } from "./settings.ts";

/** What a step measured on its mini-batch. */
export type StepFigures = Omit<HistoryEntry, "step" | "seconds" | "waited" | "heldout">;

/**
 * One step: from a mini-batch to the loss, its gradients and the update of the encoder's weights, unless that shows that the
 * training has exploded. A pure function of the weights, the moments, the mini-batch and the settings.
 *
 * @param moments Adam's, brought up to date
 * @returns the figures; or what went wrong, for people, with the weights as they were
 */
export function takeStep(
  encoder: Pick<Encoder, "gradients" | "weights" | "update">,
  moments: AdamState,
  { plan, tiles }: MiniBatch,
  settings: Settings,
): StepFigures | { broken: string } {
  const { seed, dropout } = settings;
  let measured = { loss: 0, positive: 0, negative: 0, accuracy: 0 };
  const { gradients, statistics } = encoder.gradients(
    {
      tiles,
      channelsOn: plan.channelsOn,
      seed,
      step: plan.step,
      dropout,
      halvings: halvingsAt(settings, plan.step),
    },
    (embeddings) => {
      const size = embeddingSize(settings.architecture);
      const structure = structureOf(plan.rows, plan.triplets);
      const { gradient, ...result } = computeObjective(embeddings, size, structure, settings);
      measured = result;
      return gradient;
    },
  );
  const learningRate = settings.learningRate * rateAt(settings.schedule, plan.step);
  const figures = { ...measured, gradientNorm: normOf(gradients.values()), learningRate };
  const broken = explosion(figures);
  if (broken !== undefined) return { broken };
  const updated = adamStep(encoder.weights, gradients, moments, plan.step, { ...ADAM, learningRate });
  const infinite = findInfinite([...updated, ...statistics]);
  if (infinite !== undefined) return { broken: `${infinite} would no longer be finite` };
  encoder.update(updated);
  encoder.update(statistics);
  return figures;
}

/** How often the tiles of a step are halved. */
function halvingsAt({ architecture: { halvings = 0 }, halfSizeSteps }: Settings, step: number): number {
  return step <= halfSizeSteps ? halvings + 1 : halvings;
}

/** Euclidean norm of all values together. */
function normOf(arrays: Iterable<Float32Array>): number {
  let sum = 0;
  for (const array of arrays) for (let i = 0; i < array.length; i++) sum += (array[i] as number) ** 2;
  return Math.sqrt(sum);
}
