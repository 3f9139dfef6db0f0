import { FarmError, Purpose, randomOf } from "@loc2vec/core";
import { parametersOf } from "./architecture.ts";
import { sizeOf } from "./layers/shape.ts";
import type { Architecture } from "./layout.ts";
import type { Weights } from "./weight-arrays.ts";

/**
 * Weights to begin with: kernels uniform in ±√(6 / (in + out)) (Glorot & Bengio 2010, eq. 16), where in and out count
 * the kernel's window; gamma and variance 1, the others 0. The same seed gives the same bits.
 */
export function initialWeights(architecture: Architecture, seed: number): Weights {
  return new Map(
    parametersOf(architecture).map(({ name, shape, initial }, at) => {
      if (initial !== undefined)
        return [name, { shape, data: new Float32Array(sizeOf(shape)).fill(initial) }];
      const random = randomOf(seed, Purpose.initWeights, at);
      const window = sizeOf(shape.slice(0, -2));
      const [inputs = 1, outputs = 1] = shape.slice(-2);
      const limit = Math.sqrt(6 / (window * (inputs + outputs)));
      const data = new Float32Array(sizeOf(shape)).map(() => (2 * random.uniform() - 1) * limit);
      return [name, { shape, data }];
    }),
  );
}

/**
 * Whether the weights are those of an architecture.
 *
 * @param place names their file or use in messages
 * @throws FarmError `data` naming the weight that is missing or has another shape
 */
export function checkWeights(architecture: Architecture, weights: Weights, place: string): void {
  for (const { name, shape } of parametersOf(architecture)) {
    const weight = weights.get(name);
    if (weight === undefined) throw new FarmError("data", `${place}: weight ${name} is missing`);
    if (weight.shape.join() !== shape.join()) {
      throw new FarmError("data", `${place}: weight ${name} has shape ${weight.shape}, not ${shape}`);
    }
  }
}
