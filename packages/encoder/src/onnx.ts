import { embeddingSize } from "./architecture.ts";
import { LARGEST_BYTE } from "./input.ts";
import { kindOf } from "./layers/index.ts";
import { type Architecture, layersOf } from "./layout.ts";
import { intAttribute, intsAttribute, OnnxGraph, TYPES } from "./onnx-graph.ts";
import { partOf } from "./parts/index.ts";
import { type Field, integer, join, message } from "./protobuf.ts";
import { followingParts } from "./steps.ts";
import { onnxMean, onnxTurned } from "./turns.ts";
import type { WeightArray, Weights } from "./weight-arrays.ts";
import { checkWeights } from "./weights.ts";

/** ONNX's own numbers (onnx/onnx.proto): of its format, and of the operators' version. */
const IR_VERSION = 8;
const OPSET = 17;

/**
 * The encoder for inference as an ONNX model (onnx.ai), which runs wherever ONNX Runtime does: input `tiles`, uint8
 * [tile, channel, y, x] as the data set stores them; output `embedding`, float32 [tile, embedding]. It halves and turns them. Nothing is fused: ONNX
 * Runtime computes what follows a convolution inside it.
 *
 * @throws FarmError `data` for weights that do not fit the architecture
 */
export function encodeOnnx(architecture: Architecture, weights: Weights): Uint8Array {
  checkWeights(architecture, weights, "the model to export");
  const { channels, pixels, halvings = 0, turns = 1 } = architecture;
  const size = embeddingSize(architecture);
  const graph = new OnnxGraph();
  let x = graph.node("Cast", ["tiles"], [intAttribute("to", TYPES.float32)]);
  for (let time = 0; time < halvings; time++) x = halved(graph, x);
  x = onnxTurned(graph, x, turns);
  const outputs = new Map<string, string>();
  for (const layer of layersOf(architecture)) {
    const weightOf = (name: string): WeightArray => weights.get(`${layer.name}.${name}`) as WeightArray;
    const { shape, data } = layer.kernel ? weightOf("kernel") : { shape: [], data: new Float32Array() };
    const kernel = { shape, data: layer.ordinal === 1 ? data.map((value) => value / LARGEST_BYTE) : data };
    const also = layer.also.map((name) => outputs.get(name) as string);
    x = kindOf(layer.spec).onnx(graph, x, kernel, layer, also);
    for (const part of followingParts(layer)) x = partOf(part).onnx(graph, x, layer, weightOf);
    outputs.set(layer.name, x);
  }
  onnxMean(graph, x, turns, size);
  const { nodes, constants } = graph.fields("embedding");
  const fields = [
    ...nodes,
    message(2, "loc2vec"),
    ...constants,
    message(11, valueInfo("tiles", TYPES.uint8, ["tile", channels, pixels, pixels])),
    message(12, valueInfo("embedding", TYPES.float32, ["tile", size])),
  ];
  return join([
    integer(1, IR_VERSION),
    message(2, "loc2vec-farm"),
    message(7, fields),
    message(8, [message(1, ""), integer(2, OPSET)]),
  ]);
}

/** The rounded mean of 2 × 2 whole numbers, half up. */
function halved(graph: OnnxGraph, x: string): string {
  const mean = graph.node(
    "AveragePool",
    [x],
    [intsAttribute("kernel_shape", [2, 2]), intsAttribute("strides", [2, 2])],
  );
  const half = graph.constant(`half_of_${x}`, { shape: [], data: Float32Array.of(0.5) });
  return graph.node("Floor", [graph.node("Add", [mean, half])]);
}

/** ValueInfoProto of a tensor; a name stands for a length that varies. */
function valueInfo(name: string, type: number, shape: readonly (number | string)[]): Field[] {
  const dims = shape.map((length) =>
    message(1, [typeof length === "string" ? message(2, length) : integer(1, length)]),
  );
  return [message(1, name), message(2, [message(1, [integer(1, type), message(2, dims)])])];
}
