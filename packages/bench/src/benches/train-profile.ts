import type { Tensorflow } from "@loc2vec/tensorflow";
import { withBinding } from "../binding.ts";

/** A part of a training step: an op by TensorFlow's name, or in parentheses what is none; `(other)` is JavaScript. */
export interface ProfileRow {
  op: string;
  calls: number;
  ms: number;
  /** Part of the step's wall time, 0 to 1. */
  share: number;
}

/**
 * Times every op of a step, those that tfjs runs as well, each with a synchronisation: times are the ops' own.
 *
 * @param step runs once before it counts
 */
export function profileStep(tensorflow: Tensorflow, step: () => void, steps: number): ProfileRow[] {
  const { tf, device } = tensorflow;
  const spent = new Map<string, { calls: number; ms: number }>();
  let inside = false;
  const part = <T>(name: string, work: () => T): T => {
    if (inside) return work();
    inside = true;
    const begin = performance.now();
    try {
      const result = work();
      // A GPU's op has only begun: what is computed after it is read when it has ended. A CPU's op has ended.
      if (device === "GPU") tf.tidy(() => void tf.add(1, 1).dataSync());
      return result;
    } finally {
      inside = false;
      const entry = spent.get(name) ?? { calls: 0, ms: 0 };
      spent.set(name, { calls: entry.calls + 1, ms: entry.ms + performance.now() - begin });
    }
  };
  return withBinding(
    tensorflow,
    (binding) => ({
      executeOp: (name, ...rest) => part(name, () => binding.executeOp(name, ...rest)),
      createTensor: (...args) => part("(to TensorFlow)", () => binding.createTensor(...args)),
      tensorDataSync: (...args) => part("(to JavaScript)", () => binding.tensorDataSync(...args)),
      deleteTensor: (...args) => part("(freeing memory)", () => binding.deleteTensor(...args)),
    }),
    () => {
      step();
      spent.clear();
      const begin = performance.now();
      for (let i = 0; i < steps; i++) step();
      const total = performance.now() - begin;
      let rest = total;
      for (const { ms } of spent.values()) rest -= ms;
      spent.set("(other)", { calls: steps, ms: rest });
      return [...spent]
        .map(([op, { calls, ms }]) => ({
          op,
          calls: calls / steps,
          ms: Number((ms / steps).toFixed(2)),
          share: Number((ms / total).toFixed(4)),
        }))
        .sort((a, b) => b.ms - a.ms);
    },
  );
}

/** Milliseconds of a step that are not TensorFlow's ops. */
export const hostMs = (rows: readonly ProfileRow[]): number =>
  rows.filter(({ op }) => op.startsWith("(")).reduce((sum, { ms }) => sum + ms, 0);
