import type { Tensor, Tensorflow } from "@loc2vec/tensorflow";

/** A part of a training step: an op by TensorFlow's name, or in parentheses what JavaScript does; `(other)` is freeing memory, too. */
export interface ProfileRow {
  op: string;
  calls: number;
  ms: number;
  /** Part of the step's wall time, 0 to 1. */
  share: number;
}

/** All that tfjs asks of its backend to run ops and to read their results. */
interface Executor {
  executeSingleOutput(name: string, ...rest: unknown[]): Tensor;
  executeMultipleOutputs(name: string, ...rest: unknown[]): Tensor[];
  readSync(id: object): unknown;
}

/** Runs work of JavaScript's own and notes its time. */
export type Part = <T>(name: string, work: () => T) => T;

/**
 * Times every op of a step, those that tfjs runs as well, each with a synchronisation: times are the ops' own.
 *
 * @param prepare makes the step, on a TensorFlow that takes the times; it runs once before it counts
 */
export function profileStep(
  tensorflow: Tensorflow,
  prepare: (tensorflow: Tensorflow, part: Part) => () => void,
  steps: number,
): ProfileRow[] {
  const { tf, device } = tensorflow;
  const spent = new Map<string, { calls: number; ms: number }>();
  let inside = false;
  const part: Part = (name, work) => {
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
  const backend = tf.backend() as unknown as Executor;
  const { executeSingleOutput, executeMultipleOutputs, readSync } = backend;
  const timed: Executor = {
    executeSingleOutput: (name, ...rest) =>
      part(name, () => executeSingleOutput.call(backend, name, ...rest)),
    executeMultipleOutputs: (name, ...rest) =>
      part(name, () => executeMultipleOutputs.call(backend, name, ...rest)),
    readSync: (id) => part("(results to JavaScript)", () => readSync.call(backend, id)),
  };
  const step = prepare(
    {
      ...tensorflow,
      op: (name, ...rest) => part(name, () => tensorflow.op(name, ...rest)),
    },
    part,
  );
  Object.assign(backend, timed);
  try {
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
        ms: Number((ms / steps).toFixed(1)),
        share: Number((ms / total).toFixed(3)),
      }))
      .sort((a, b) => b.ms - a.ms);
  } finally {
    Object.assign(backend, { executeSingleOutput, executeMultipleOutputs, readSync });
  }
}
