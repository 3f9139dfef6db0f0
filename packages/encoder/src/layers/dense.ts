import type { Attributes } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { FOLLOWED } from "../parts/followed.ts";
import type { LayerKind } from "./kind.ts";
import { needVector } from "./shape.ts";

const schema = z.strictObject({
  kind: z.literal("dense"),
  /** Length of the vector that it gives. */
  units: z.int().min(1).max(4096),
  ...FOLLOWED,
});

const MATMUL: Attributes = {
  T: { type: "float32" },
  transpose_a: { bool: false },
  transpose_b: { bool: false },
};
const MATMUL_A: Attributes = { ...MATMUL, transpose_a: { bool: true } };
const MATMUL_B: Attributes = { ...MATMUL, transpose_b: { bool: true } };

/** A vector times a matrix. Kernel: [in, out]. */
export const dense: LayerKind<z.infer<typeof schema>, { x: Tensor; kernel: Tensor }> = {
  schema,
  selects: false,
  outputOf: ({ units }, input, place) => {
    needVector(input, place);
    return [units];
  },
  kernelOf: ({ units }, input) => [input[0], units],
  infer: (engine, x, { kernel }) => engine.op("MatMul", [x, kernel], MATMUL),
  forward: (engine, x, { kernel }) => ({ y: engine.op("MatMul", [x, kernel], MATMUL), saved: { x, kernel } }),
  backward: (engine, dy, { x, kernel }, wanted) => ({
    ...(wanted.weights ? { operands: { kernel: engine.op("MatMul", [x, dy], MATMUL_A) } } : {}),
    ...(wanted.input ? { dx: engine.op("MatMul", [dy, kernel], MATMUL_B) } : {}),
  }),
  onnx: (graph, x, kernel, { name }) => graph.node("MatMul", [x, graph.constant(`${name}.kernel`, kernel)]),
  keras: `
def dense(x, spec, name):
    bias = spec["normalization"] == "none"
    return layers.Dense(spec["units"], use_bias=bias, name=name)(x)
`,
};
