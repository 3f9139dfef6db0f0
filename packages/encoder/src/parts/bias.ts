import type { Tensor } from "@tensorflow/tfjs";
import { byType, convert, NHWC } from "../engine.ts";
import { isMap } from "../layers/shape.ts";
import type { Part } from "./part.ts";

const ATTRIBUTES = byType((T) => ({ T, ...NHWC }));

/** One number added to each channel. Outside training, also what is left of a normalization. */
export const bias: Part<{ bias: Tensor }, undefined> = {
  weights: [{ name: "bias", trained: true, initial: 0 }],
  rises: true,
  forward: (engine, x, { bias }) => ({
    y: engine.op("BiasAdd", [x, bias], ATTRIBUTES),
    saved: undefined,
  }),
  backward: ({ tensorflow, type }, dy, _, wanted) => {
    if (!wanted.weights) return { dx: dy };
    const channels = dy.shape.at(-1) as number;
    const byBias = convert(tensorflow, dy, type, "float32").reshape([-1, channels]).sum(0);
    return { dx: dy, operands: { bias: byBias } };
  },
  onnx: (graph, x, layer, weightOf) => {
    const { shape, data } = weightOf("bias");
    // The channel comes before y and x there.
    const ofMap = isMap(layer.output) ? [...shape, 1, 1] : shape;
    return graph.node("Add", [x, graph.constant(`${layer.name}.bias`, { shape: ofMap, data })]);
  },
};
