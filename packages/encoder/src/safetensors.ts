import { FarmError } from "@loc2vec/core";
import { sizeOf } from "./layers/shape.ts";
import type { WeightArray, Weights } from "./weight-arrays.ts";

/**
 * Weights as a safetensors file (github.com/huggingface/safetensors, format 0.3+): uint64 length of the header, the
 * header in JSON, then float32 arrays, all little-endian.
 */
export function encodeSafetensors(
  weights: Weights,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of weights) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = JSON.stringify(header);
  // The data begin at a multiple of 8: the format pads the header with spaces.
  const text = Buffer.from(json.padEnd(8 * Math.ceil(Buffer.byteLength(json) / 8)));
  const bytes = new Uint8Array(8 + text.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const { data } of weights.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Reads what {@link encodeSafetensors} writes.
 *
 * @param place names the file in messages
 * @throws FarmError `damaged` when it is cut off, is none, or holds another type than float32
 */
export function decodeSafetensors(bytes: Uint8Array, place: string): Weights {
  const damaged = (why: string): FarmError =>
    new FarmError("damaged", `${place}: not a whole safetensors file: ${why}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? -1 : Number(view.getBigUint64(0, true));
  if (length < 2 || 8 + length > bytes.length) throw damaged("its header is cut off");
  let header: Record<string, { dtype?: unknown; shape?: unknown; data_offsets?: unknown }>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch {
    throw damaged("its header is not JSON");
  }
  const weights = new Map<string, WeightArray>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = entry;
    if (dtype !== "F32") throw damaged(`${name} has the type ${String(dtype)}, not F32`);
    if (!Array.isArray(shape) || !Array.isArray(offsets)) throw damaged(`${name} has no shape or place`);
    const [begin, end] = offsets as [number, number];
    if (end - begin !== 4 * sizeOf(shape) || 8 + length + end > bytes.length)
      throw damaged(`${name} is cut off`);
    // A copy, aligned; a Buffer's own `slice` would be none.
    const copy = Uint8Array.prototype.slice.call(bytes, 8 + length + begin, 8 + length + end);
    weights.set(name, { shape, data: new Float32Array(copy.buffer) });
  }
  return weights;
}
