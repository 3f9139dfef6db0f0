import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { intAttribute, intsAttribute } from "../onnx-graph.ts";
import type { LayerKind } from "./kind.ts";
import { needMap, sizeOf } from "./shape.ts";

const schema = z.strictObject({ kind: z.literal("flatten") });

const flattened = (x: Tensor): Tensor => x.reshape([x.shape[0] as number, -1]);

/** A feature map as a vector: row by row, pixel by pixel, the channel last. */
export const flatten: LayerKind<z.infer<typeof schema>, { shape: number[] }> = {
  schema,
  selects: false,
  outputOf: (_, input, place) => [sizeOf(needMap(input, place))],
  kernelOf: () => undefined,
  infer: (_, x) => flattened(x),
  forward: (_, x) => ({ y: flattened(x), saved: { shape: x.shape } }),
  backward: (_, dy, { shape }) => ({ dx: dy.reshape(shape) }),
  onnx: (graph, x) => {
    const channelsLast = graph.node("Transpose", [x], [intsAttribute("perm", [0, 2, 3, 1])]);
    return graph.node("Flatten", [channelsLast], [intAttribute("axis", 1)]);
  },
  keras: `
def flatten(x, spec, name):
    return layers.Flatten(name=name)(x)
`,
};
