import type { Tensor } from "@tensorflow/tfjs";
import { byType } from "../engine.ts";
import type { Part } from "./part.ts";

const ATTRIBUTES = byType((T) => ({ T }));

/**
 * Dropout (Srivastava et al. 2014), on feature maps spatial (Tompson et al., arXiv 1411.4280): each channel of each tile
 * times 0 or 1 / (1 − rate), float32 [tiles, 1, 1, channels] or [tiles, channels]. Outside training it is not there.
 */
export const dropout: Part<{ mask: Tensor }, { mask: Tensor }> = {
  weights: [],
  rises: true,
  forward: (engine, x, { mask }) => ({ y: engine.op("Mul", [x, mask], ATTRIBUTES), saved: { mask } }),
  backward: (engine, dy, { mask }) => ({ dx: engine.op("Mul", [dy, mask], ATTRIBUTES) }),
  onnx: (_, x) => x,
};
