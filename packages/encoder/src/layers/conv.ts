import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { constant } from "../constants.ts";
import { byType, convert, NHWC } from "../engine.ts";
import { intsAttribute } from "../onnx-graph.ts";
import { FOLLOWED } from "../parts/followed.ts";
import type { WeightArray } from "../weight-arrays.ts";
import type { LayerKind } from "./kind.ts";
import { needMap } from "./shape.ts";

const schema = z.strictObject({
  kind: z.literal("conv"),
  /** Channels that it gives. */
  filters: z.int().min(1).max(4096),
  /** Side of its window, pixels. */
  size: z.union([z.literal(1), z.literal(3), z.literal(5), z.literal(7)]),
  ...FOLLOWED,
});

const ATTRIBUTES = byType((T) => ({
  T,
  strides: { int: [1, 1, 1, 1] },
  padding: { string: "SAME" },
  ...NHWC,
}));

/** A convolution of square windows, one pixel apart; beyond its edges a feature map is 0. Kernel: [y, x, in, out]. */
export const conv: LayerKind<z.infer<typeof schema>, { x: Tensor; kernel: Tensor }> = {
  schema,
  selects: false,
  outputOf: ({ filters }, input, place) => {
    const [height, width] = needMap(input, place);
    return [height, width, filters];
  },
  kernelOf: ({ filters, size }, input) => [size, size, input.at(-1) as number, filters],
  infer: (engine, x, { kernel }) => engine.op("Conv2D", [x, kernel], ATTRIBUTES),
  forward: (engine, x, { kernel }) => ({
    y: engine.op("Conv2D", [x, kernel], ATTRIBUTES),
    saved: { x, kernel },
  }),
  backward: (engine, dy, { x, kernel }, wanted) => {
    const { tensorflow, type } = engine;
    const shapeOf = (tensor: Tensor): Tensor => constant(tensorflow, tensor.shape);
    const byKernel = (): Tensor => {
      const gradient = engine.op("Conv2DBackpropFilter", [x, shapeOf(kernel), dy], ATTRIBUTES);
      return convert(tensorflow, gradient, type, "float32");
    };
    const byInput = (): Tensor => engine.op("Conv2DBackpropInput", [shapeOf(x), kernel, dy], ATTRIBUTES);
    return {
      ...(wanted.weights ? { operands: { kernel: byKernel() } } : {}),
      ...(wanted.input ? { dx: byInput() } : {}),
    };
  },
  onnx: (graph, x, kernel, { name, spec: { size } }) => {
    const border = (size - 1) / 2;
    const inputs = [x, graph.constant(`${name}.kernel`, toOihw(kernel))];
    return graph.node("Conv", inputs, [intsAttribute("pads", [border, border, border, border])]);
  },
  keras: `
def conv(x, spec, name):
    bias = spec["normalization"] == "none"
    return layers.Conv2D(spec["filters"], spec["size"], padding="same", use_bias=bias, name=name)(x)
`,
};

/** From [y, x, in, out] to [out, in, y, x]. */
function toOihw({ shape, data }: WeightArray): WeightArray {
  const [height = 1, width = 1, inputs = 1, outputs = 1] = shape;
  const turned = new Float32Array(data.length);
  for (let place = 0; place < height * width; place++) {
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < outputs; o++) {
        turned[(o * inputs + i) * height * width + place] = data[
          (place * inputs + i) * outputs + o
        ] as number;
      }
    }
  }
  return { shape: [outputs, inputs, height, width], data: turned };
}
