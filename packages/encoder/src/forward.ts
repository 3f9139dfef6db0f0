import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { convert, engineOf, type Real } from "./engine.ts";
import { computes, operationOf, type Step } from "./steps.ts";

/** A step that was taken, and what its way back needs of it. */
export interface Trace {
  step: Step;
  saved: unknown;
}

/** A tensor, and what it is in: tfjs takes bfloat16 for float32. */
export interface Typed {
  tensor: Tensor;
  type: Real;
}

/**
 * The way forward in training, step by step.
 *
 * @param input what the tiles of a mini-batch bring
 * @param operandsOf what a step computes with beside its input; undefined for one that is left out
 * @returns float32 [tiles, ...shape], and what {@link backward} needs
 */
export function forward(
  tensorflow: Tensorflow,
  steps: readonly Step[],
  input: Typed,
  operandsOf: (step: Step, x: Tensor) => object | undefined,
): { output: Tensor; traces: Trace[] } {
  let { tensor: x, type } = input;
  const traces: Trace[] = [];
  const outputs = new Map<string, Typed>();
  for (const step of steps) {
    if (!computes(step)) {
      outputs.set(step.layer.name, { tensor: x, type });
      traces.push({ step, saved: undefined });
      continue;
    }
    const operands = operandsOf(step, x);
    if (operands === undefined) continue;
    x = convert(tensorflow, x, type, step.type);
    type = step.type;
    const also = step.layer.also.map((name) => {
      const given = outputs.get(name) as Typed;
      return convert(tensorflow, given.tensor, given.type, step.type);
    });
    const all = step.part === "layer" ? { ...operands, also } : operands;
    const { y, saved } = operationOf(step).forward(engineOf(tensorflow, type), x, all, step.layer);
    traces.push({ step, saved });
    x = y;
  }
  return { output: convert(tensorflow, x, type, "float32"), traces };
}
