import type { Real } from "./engine.ts";
import { kindOf } from "./layers/index.ts";
import type { Layer, Operation } from "./layers/kind.ts";
import { isMap } from "./layers/shape.ts";
import { followedBy } from "./parts/followed.ts";
import { type PartName, partOf } from "./parts/index.ts";

/**
 * A step of a pass through the network: a layer itself, a part that follows it, or `output`: what has come of the layer is
 * kept for one that takes it later, beside its input.
 */
export interface Step {
  readonly layer: Layer;
  readonly part: "layer" | PartName | "output";
  /** What it computes in. */
  readonly type: Real;
}

/** The parts that follow a layer with a kernel, as the network says; none after another layer. */
export function followingParts({ spec }: Layer): PartName[] {
  const followed = followedBy(spec);
  if (followed === undefined) return [];
  return [
    followed.normalization === "batch" ? "normalization" : "bias",
    ...(followed.activation === "leaky relu" ? (["activation"] as const) : []),
  ];
}

/**
 * The steps of a training: dropout follows every layer with a kernel but the embedding.
 *
 * @param mapType what feature maps are computed in; vectors, a thousandth of the work, are float32
 */
export function trainingSteps(layers: readonly Layer[], mapType: Real): Step[] {
  return fused(layers, mapType, (layer) => {
    const parts = followingParts(layer);
    return parts.length === 0 || layer === layers.at(-1) ? parts : [...parts, "dropout"];
  });
}

/** The steps outside training, in float32: normalization is folded into kernel and bias (see `fold.ts`). */
export function inferenceSteps(layers: readonly Layer[]): Step[] {
  return fused(layers, "float32", (layer) =>
    followingParts(layer).map((part) => (part === "normalization" ? "bias" : part)),
  );
}

/**
 * A part that rises, applied to each number of a channel alike, may follow a layer that selects, with the same result: after
 * 2×2 max-pooling it is a quarter of the work.
 */
function fused(layers: readonly Layer[], mapType: Real, partsOf: (layer: Layer) => PartName[]): Step[] {
  const steps: Step[] = [];
  const taken = new Set(layers.flatMap(({ also }) => also));
  for (const layer of layers) {
    const type = isMap(layer.output) ? mapType : "float32";
    let at = steps.length;
    if (kindOf(layer.spec).selects) while (at > 0 && rises(steps[at - 1] as Step)) at--;
    steps.splice(at, 0, { layer, part: "layer", type });
    steps.push(...partsOf(layer).map((part) => ({ layer, part, type })));
    if (taken.has(layer.name)) steps.push({ layer, part: "output", type });
  }
  return steps;
}

const rises = ({ part }: Step): boolean => part !== "layer" && part !== "output" && partOf(part).rises;

/** What a step computes, forward and backward. */
export function operationOf({ layer, part }: ComputingStep): Operation {
  return part === "layer" ? (kindOf(layer.spec) as Operation) : partOf(part);
}

/** A step that is more than keeping. */
export type ComputingStep = Step & { readonly part: Exclude<Step["part"], "output"> };

export const computes = (step: Step): step is ComputingStep => step.part !== "output";
