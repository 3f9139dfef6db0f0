import { type Architecture, BN_EPSILON, LEAK, layersOf } from "./architecture.ts";
import { type Field, float, integer, join, message } from "./protobuf.ts";
import { checkWeights, type WeightArray, type Weights } from "./weights.ts";

/** ONNX's own numbers (onnx/onnx.proto): of its format, of the operators' version, and of types. */
const IR_VERSION = 8;
const OPSET = 17;
const TYPES = { float32: 1, uint8: 2, int64: 7 } as const;

/**
 * The encoder for inference as an ONNX model (onnx.ai), which runs wherever ONNX Runtime does: input `tiles`, uint8
 * [tile, channel, y, x] as the data set stores them; output `embedding`, float32 [tile, embedding].
 *
 * @throws FarmError `data` for weights that do not fit the architecture
 */
export function encodeOnnx(architecture: Architecture, weights: Weights): Uint8Array {
  checkWeights(architecture, weights, "the model to export");
  const { channels, pixels, embedding } = architecture;
  const nodes: Field[] = [];
  const constants: Field[] = [];
  const constant = (
    name: string,
    shape: readonly number[],
    data: Uint8Array,
    type: number = TYPES.float32,
  ): string => {
    const dims = shape.map((length) => integer(1, length));
    constants.push(message(5, [...dims, integer(2, type), message(8, name), message(9, data)]));
    return name;
  };
  const floats = (name: string, { shape, data }: WeightArray): string => constant(name, shape, bytesOf(data));
  const node = (
    op: string,
    inputs: readonly string[],
    attributes: readonly Field[] = [],
    output?: string,
  ): string => {
    const name = output ?? `${op.toLowerCase()}_${nodes.length}`;
    const names = inputs.map((input) => message(1, input));
    nodes.push(message(1, [...names, message(2, name), message(3, name), message(4, op), ...attributes]));
    return name;
  };
  let x = node("Cast", ["tiles"], [intAttribute("to", TYPES.float32)]);
  let flat = false;
  for (const [at, layer] of layersOf(architecture).entries()) {
    const weight = (name: string): WeightArray => weights.get(`${layer.name}.${name}`) as WeightArray;
    const { shape } = weight("kernel");
    // The first kernel takes bytes for what is 0 to 1 in training.
    const data = weight("kernel").data.map((value) => (at === 0 ? value / 255 : value));
    const kernelName = `${layer.name}.kernel`;
    if (layer.kind === "conv") {
      const [height = 1, width = 1] = shape;
      const kernel = constant(
        kernelName,
        [shape[3] ?? 1, shape[2] ?? 1, height, width],
        bytesOf(toOihw(data, shape)),
      );
      const [top, left] = [(height - 1) >> 1, (width - 1) >> 1];
      x = node("Conv", [x, kernel], [intsAttribute("pads", [top, left, top, left])]);
    } else {
      if (!flat) {
        // The encoder flattens with the channel last.
        const last = node("Transpose", [x], [intsAttribute("perm", [0, 2, 3, 1])]);
        x = node("Flatten", [last], [intAttribute("axis", 1)]);
        flat = true;
      }
      x = node("MatMul", [x, floats(kernelName, { shape, data })]);
    }
    if (!layer.normalized) {
      x = node("Add", [x, floats(`${layer.name}.bias`, weight("bias"))], [], "embedding");
      continue;
    }
    const statistics = ["gamma", "beta", "mean", "variance"].map((name) =>
      floats(`${layer.name}.${name}`, weight(name)),
    );
    x = node("BatchNormalization", [x, ...statistics], [floatAttribute("epsilon", BN_EPSILON)]);
    // Before the pooling: ONNX Runtime computes it inside the convolution.
    x = node("LeakyRelu", [x], [floatAttribute("alpha", LEAK)]);
    if (layer.pool) {
      x = node("MaxPool", [x], [intsAttribute("kernel_shape", [2, 2]), intsAttribute("strides", [2, 2])]);
    }
  }
  const graph = [
    ...nodes,
    message(2, "loc2vec"),
    ...constants,
    message(11, valueInfo("tiles", TYPES.uint8, ["tile", channels, pixels, pixels])),
    message(12, valueInfo("embedding", TYPES.float32, ["tile", embedding])),
  ];
  return join([
    integer(1, IR_VERSION),
    message(2, "loc2vec-farm"),
    message(7, graph),
    message(8, [message(1, ""), integer(2, OPSET)]),
  ]);
}

const bytesOf = (data: Float32Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** From [height, width, in, out] to [out, in, height, width]. */
function toOihw(data: Float32Array, shape: readonly number[]): Float32Array {
  const [height = 1, width = 1, inputs = 1, outputs = 1] = shape;
  const found = new Float32Array(data.length);
  for (let place = 0; place < height * width; place++) {
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < outputs; o++) {
        found[(o * inputs + i) * height * width + place] = data[(place * inputs + i) * outputs + o] as number;
      }
    }
  }
  return found;
}

/** AttributeProto: name = 1, f = 2, i = 3, ints = 8, type = 20. */
const floatAttribute = (name: string, value: number): Field =>
  message(5, [message(1, name), float(2, value), integer(20, 1)]);
const intAttribute = (name: string, value: number): Field =>
  message(5, [message(1, name), integer(3, value), integer(20, 2)]);
const intsAttribute = (name: string, values: readonly number[]): Field =>
  message(5, [message(1, name), ...values.map((value) => integer(8, value)), integer(20, 7)]);

/** ValueInfoProto of a tensor; a name stands for a length that varies. */
function valueInfo(name: string, type: number, shape: readonly (number | string)[]): Field[] {
  const dims = shape.map((length) =>
    message(1, [typeof length === "string" ? message(2, length) : integer(1, length)]),
  );
  return [message(1, name), message(2, [message(1, [integer(1, type), message(2, dims)])])];
}
