// Gradient descent with momentum and gains (Jacobs 1988), as t-SNE's authors have it.
import { attraction, count, dimensions, gains, positions, repulsion, shares, updates } from "./memory";

const LEAST_GAIN: f64 = 0.01;

/** Moves all points by the forces on them. @param exaggeration of the affinities */
export function move(exaggeration: f64, momentum: f64, rate: f64): void {
  let z: f64 = 0;
  for (let i = 0; i < count; i++) z += load<f64>(shares + (<usize>i << 3));
  // 2 (α + 1) / α.
  const factor: f64 = dimensions == 3 ? 3 : 4;
  for (let i = 0; i < count; i++) {
    for (let axis = 0; axis < dimensions; axis++) {
      const at = <usize>(i * 3 + axis) << 3;
      const gradient = factor * (exaggeration * load<f64>(attraction + at) - load<f64>(repulsion + at) / z);
      const last = load<f64>(updates + at);
      const gain = load<f64>(gains + at);
      const next = max(LEAST_GAIN, last * gradient < 0 ? gain + 0.2 : gain * 0.8);
      const update = momentum * last - rate * next * gradient;
      store<f64>(gains + at, next);
      store<f64>(updates + at, update);
      store<f64>(positions + at, load<f64>(positions + at) + update);
    }
  }
}
