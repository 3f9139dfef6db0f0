import type { Tensor } from "@tensorflow/tfjs";
import { byType } from "../engine.ts";
import { floatAttribute } from "../onnx-graph.ts";
import type { Part } from "./part.ts";

/** Slope below zero, as in Keras. */
export const LEAK = 0.3;

const ATTRIBUTES = byType((T) => ({ T, alpha: { float: LEAK } }));

/** LeakyReLU (Maas et al. 2013): x above zero, LEAK · x below. */
export const activation: Part<unknown, { x: Tensor }> = {
  weights: [],
  rises: true,
  forward: (engine, x) => ({ y: engine.op("LeakyRelu", [x], ATTRIBUTES), saved: { x } }),
  backward: (engine, dy, { x }) => ({ dx: engine.op("LeakyReluGrad", [dy, x], ATTRIBUTES) }),
  onnx: (graph, x) => graph.node("LeakyRelu", [x], [floatAttribute("alpha", LEAK)]),
};
