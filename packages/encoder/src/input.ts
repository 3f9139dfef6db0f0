import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import type { Real } from "./engine.ts";
import { type Architecture, inputSide } from "./layout.ts";

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
  { tf, bytes: tensorOf, op }: Tensorflow,
  { channels, ...tile }: Pick<Architecture, "channels" | "pixels" | "halvings">,
  bytes: Uint8Array,
  count: number,
  type: Real,
): Tensor {
  const side = inputSide(tile);
  const planar = tensorOf(bytes, [count, channels, side, side]);
  const [packed] = op("Transpose", [planar, tf.tensor1d([0, 2, 3, 1], "int32")], TRANSPOSE_BYTES);
  return op("Cast", [packed as Tensor], CAST_BYTES[type])[0] as Tensor;
}
