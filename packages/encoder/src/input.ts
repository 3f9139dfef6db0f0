import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { constant } from "./constants.ts";
import type { Real } from "./engine.ts";
import { inputSide } from "./layout.ts";
import type { TileShape } from "./tiles.ts";

/** A pixel's greatest value. To the network it is 1: the first kernel takes that on, as it is smaller than the tiles. */
export const LARGEST_BYTE = 255;

const TRANSPOSE_BYTES: Attributes = { T: { type: "uint8" }, Tperm: { type: "int32" } };
const CAST_BYTES: Readonly<Record<Real, Attributes>> = {
  float32: { SrcT: { type: "uint8" }, DstT: { type: "float32" } },
  bfloat16: { SrcT: { type: "uint8" }, DstT: { type: "bfloat16" } },
};

/**
 * Tiles as what the first layer takes: 0 to 255, [tile, y, x, channel].
 *
 * @param bytes uint8 [tile, channel, y, x], halved as {@link concatTiles} does, which must stay as they are meanwhile
 * @param count of the tiles
 */
export function toInput(
  tensorflow: Tensorflow,
  { channels, ...tile }: TileShape,
  bytes: Uint8Array,
  count: number,
  type: Real,
): Tensor {
  const side = inputSide(tile);
  const planar = tensorflow.bytes(bytes, [count, channels, side, side]);
  const inputs = [planar, constant(tensorflow, [0, 2, 3, 1])];
  const [packed] = tensorflow.op("Transpose", inputs, TRANSPOSE_BYTES);
  return tensorflow.op("Cast", [packed as Tensor], CAST_BYTES[type])[0] as Tensor;
}
