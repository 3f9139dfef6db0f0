import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { convert, engineOf, type Real } from "./engine.ts";
import type { Trace } from "./forward.ts";
import { operationOf } from "./steps.ts";

/**
 * The way back, step by step: the chain rule (Rumelhart, Hinton & Williams 1986).
 *
 * @param traces of the way forward
 * @param gradient of the loss by the output, float32
 * @param byInput whether the gradient by the input is wanted; else it ends at the first kernel
 * @returns float32: gradients of the loss by the trained weights, by name, and by the input where it is wanted
 */
export function backward(
  tensorflow: Tensorflow,
  traces: readonly Trace[],
  gradient: Tensor,
  byInput = false,
): { weights: Map<string, Tensor>; input: Tensor | undefined } {
  const weights = new Map<string, Tensor>();
  let dy: Tensor | undefined = gradient;
  let type: Real = "float32";
  for (const { step, saved } of traces.toReversed()) {
    if (dy === undefined) break;
    const { layer, part } = step;
    const wanted = byInput || part !== "layer" || layer.ordinal !== 1;
    const engine = engineOf(tensorflow, step.type);
    const back = operationOf(step).backward(
      engine,
      convert(tensorflow, dy, type, step.type),
      saved,
      wanted,
      layer,
    );
    for (const [name, tensor] of Object.entries(back.operands ?? {}))
      weights.set(`${layer.name}.${name}`, tensor);
    dy = back.dx;
    type = step.type;
  }
  return { weights, input: dy && convert(tensorflow, dy, type, "float32") };
}
