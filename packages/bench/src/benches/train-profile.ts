import { median } from "@loc2vec/numeric";
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
 * Steps until V8 has optimized what a step runs in JavaScript, anew where it ran before: what is called is wrapped now. After
 * four of them it takes twice as long as after these.
 */
const WARM_UP = 40;

/**
 * Times every op of a step, those that tfjs runs as well, each with a synchronisation: times are the ops' own.
 *
 * @param step runs `warmUp` times before it counts
 */
export function profileStep(
  tensorflow: Tensorflow,
  step: () => void,
  steps: number,
  warmUp = WARM_UP,
): ProfileRow[] {
  const { tf, device } = tensorflow;
  let spent = new Map<string, Spent>();
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
      const ms = performance.now() - begin;
      const entry = spent.get(name);
      if (entry === undefined) spent.set(name, { calls: 1, ms });
      else {
        entry.calls++;
        entry.ms += ms;
      }
    }
  };
  const timeStep = (): Map<string, Spent> => {
    spent = new Map();
    const begin = performance.now();
    step();
    let rest = performance.now() - begin;
    for (const { ms } of spent.values()) rest -= ms;
    return spent.set("(other)", { calls: 1, ms: rest });
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
      for (let i = 0; i < warmUp; i++) step();
      return rowsOf(Array.from({ length: steps }, timeStep));
    },
  );
}

interface Spent {
  calls: number;
  ms: number;
}

/** Medians of the steps: another process that takes the core for a while falls on one of them. */
function rowsOf(steps: readonly Map<string, Spent>[]): ProfileRow[] {
  const names = [...new Set(steps.flatMap((spent) => [...spent.keys()]))];
  const rows = names.map((op) => {
    const all = steps.map((spent) => spent.get(op) ?? { calls: 0, ms: 0 });
    const middle = (value: (spent: Spent) => number): number => median(all.map(value)) ?? 0;
    return { op, calls: middle(({ calls }) => calls), ms: middle(({ ms }) => ms) };
  });
  const total = rows.reduce((sum, { ms }) => sum + ms, 0);
  return rows
    .map(({ ms, ...row }) => ({ ...row, ms: Number(ms.toFixed(2)), share: Number((ms / total).toFixed(4)) }))
    .sort((a, b) => b.ms - a.ms);
}

/** Milliseconds of a step that are not TensorFlow's ops. */
export const hostMs = (rows: readonly ProfileRow[]): number =>
  rows.filter(({ op }) => op.startsWith("(")).reduce((sum, { ms }) => sum + ms, 0);
