import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { byType, convert, engineOf, type Real } from "./engine.ts";
import type { Trace, Typed } from "./forward.ts";
import type { Wanted } from "./layers/kind.ts";
import { computes, operationOf } from "./steps.ts";

const SUM = byType((T) => ({ T }));

/**
 * The way back, step by step: the chain rule (Rumelhart, Hinton & Williams 1986).
 *
 * @param traces of the way forward
 * @param gradient of the loss by the output, float32
 * @param wanted without the input, it ends at the first kernel
 * @returns float32: gradients of the loss by the trained weights, by name, and by the input, where they are wanted
 */
export function backward(
  tensorflow: Tensorflow,
  traces: readonly Trace[],
  gradient: Tensor,
  wanted: Wanted = { input: false, weights: true },
): { weights: Map<string, Tensor>; input: Tensor | undefined } {
  const weights = new Map<string, Tensor>();
  /** Gradients by what layers gave to others than the next one. */
  const byOutput = new Map<string, Typed[]>();
  let dy: Tensor | undefined = gradient;
  let type: Real = "float32";
  for (const { step, saved } of traces.toReversed()) {
    if (dy === undefined) break;
    const { layer, part } = step;
    const further = wanted.input || part !== "layer" || layer.ordinal !== 1;
    const engine = engineOf(tensorflow, step.type);
    dy = convert(tensorflow, dy, type, step.type);
    type = step.type;
    if (!computes(step)) {
      for (const { tensor, type: given } of byOutput.get(layer.name) ?? [])
        dy = engine.op("AddV2", [dy, convert(tensorflow, tensor, given, type)], SUM);
      continue;
    }
    const passed = { ...wanted, input: further };
    const back = operationOf(step).backward(engine, dy, saved, passed, layer);
    for (const [i, tensor] of back.also?.entries() ?? []) {
      const name = layer.also[i] as string;
      byOutput.set(name, [...(byOutput.get(name) ?? []), { tensor, type }]);
    }
    for (const [name, tensor] of Object.entries((wanted.weights && back.operands) || {}))
      weights.set(`${layer.name}.${name}`, tensor);
    dy = back.dx;
  }
  return { weights, input: dy && convert(tensorflow, dy, type, "float32") };
}
