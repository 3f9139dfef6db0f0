import { computeObjective, type Encoder, embeddingSize, structureOf } from "@loc2vec/encoder";
import type { MiniBatch } from "./feed.ts";
import type { HistoryEntry } from "./figures.ts";
import { explosion } from "./guard.ts";
import { rateAt } from "./schedule.ts";
import type { Settings } from "./settings.ts";

/** What a step measured on its mini-batch. */
export type StepFigures = Omit<HistoryEntry, "step" | "seconds" | "waited" | "heldout">;

/**
 * One step: from a mini-batch to the loss, its gradients and the update of the encoder's weights, unless that shows that the
 * training has exploded. A pure function of the encoder's weights and moments, the mini-batch and the settings.
 *
 * @returns the figures; or what went wrong, for people, with weights and moments as they were
 */
export function takeStep(
  encoder: Pick<Encoder, "train">,
  { plan, tiles }: MiniBatch,
  settings: Settings,
): StepFigures | { broken: string } {
  const { seed, dropout } = settings;
  let measured = { loss: 0, positive: 0, negative: 0, accuracy: 0 };
  let broken: string | undefined;
  const learningRate = settings.learningRate * rateAt(settings.schedule, plan.step);
  let figures: StepFigures = { ...measured, gradientNorm: 0, learningRate };
  const infinite = encoder.train(
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
    {
      learningRate,
      accept: (gradientNorm) => {
        figures = { ...measured, gradientNorm, learningRate };
        broken = explosion(figures);
        return broken === undefined;
      },
    },
  );
  if (infinite !== undefined) broken = `${infinite} would no longer be finite`;
  return broken === undefined ? figures : { broken };
}

/** How often the tiles of a step are halved. */
function halvingsAt({ architecture: { halvings = 0 }, halfSizeSteps }: Settings, step: number): number {
  return step <= halfSizeSteps ? halvings + 1 : halvings;
}
