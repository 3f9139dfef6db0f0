import { FarmError, randomOf, Stream } from "@loc2vec/core";
import { parametersOf } from "./architecture.ts";
import { sizeOf } from "./layers/shape.ts";
import type { Architecture } from "./layout.ts";

export interface WeightArray {
  shape: readonly number[];
  /** C order. */
  data: Float32Array;
}

/** Arrays by name, e.g. `conv1.kernel`. */
export type Weights = ReadonlyMap<string, WeightArray>;

/**
 * Weights to begin with: kernels uniform in ±√(6 / (in + out)) (Glorot & Bengio 2010, eq. 16), where in and out count
 * the kernel's window; gamma and variance 1, the others 0. The same seed gives the same bits.
 */
export function initialWeights(architecture: Architecture, seed: number): Weights {
  return new Map(
    parametersOf(architecture).map(({ name, shape }, at) => {
      const data = new Float32Array(sizeOf(shape));
      if (name.endsWith(".kernel")) {
        const random = randomOf(seed, Stream.initWeights, at);
        const window = sizeOf(shape.slice(0, -2));
        const [inputs = 1, outputs = 1] = shape.slice(-2);
        const limit = Math.sqrt(6 / (window * (inputs + outputs)));
        for (let i = 0; i < data.length; i++) data[i] = (2 * random.uniform() - 1) * limit;
      } else if (name.endsWith(".gamma") || name.endsWith(".variance")) data.fill(1);
      return [name, { shape, data }];
    }),
  );
}

/** @throws FarmError `data` naming the weight that is missing or has another shape */
export function checkWeights(architecture: Architecture, weights: Weights, place: string): void {
  for (const { name, shape } of parametersOf(architecture)) {
    const found = weights.get(name);
    if (found === undefined) throw new FarmError("data", `${place}: weight ${name} is missing`);
    if (found.shape.join() !== shape.join()) {
      throw new FarmError("data", `${place}: weight ${name} has shape ${found.shape}, not ${shape}`);
    }
  }
}

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

/** @param place names the file in messages @throws FarmError `data` when it is damaged or holds another type */
export function decodeSafetensors(bytes: Uint8Array, place: string): Weights {
  const damaged = (why: string): FarmError =>
    new FarmError("data", `${place}: not a whole safetensors file: ${why}`);
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
    const copy = bytes.slice(8 + length + begin, 8 + length + end);
    weights.set(name, { shape, data: new Float32Array(copy.buffer) });
  }
  return weights;
}
