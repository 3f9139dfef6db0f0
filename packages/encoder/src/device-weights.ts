import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { ADAM, type AdamState, type AdamTensors, adamStep } from "./adam.ts";
import { parametersOf } from "./architecture.ts";
import { type Flat, flatMath, flatOf } from "./flat.ts";
import type { Architecture } from "./layout.ts";
import { shareOf } from "./statistics.ts";
import type { WeightArray, Weights } from "./weight-arrays.ts";

/**
 * Weights and Adam's moments where they are computed with: what is trained as one vector, batch normalization's running
 * statistics as another. They come to JavaScript when they are asked for.
 */
export interface DeviceWeights {
  /** The trained ones by name, in their shapes. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** In force; read back when they have changed. The arrays stay as they are. */
  read(): ReadonlyMap<string, WeightArray>;
  moments(): AdamState;
  /** Replaces weights by name; the others and the moments stay. */
  update(weights: Weights): void;
  /** What the running statistics would become with a mini-batch. @param seen what it has, by name @param step from 1 */
  readRunning(seen: ReadonlyMap<string, Tensor>, step: number): Map<string, WeightArray>;
  /** Begins a moving average of the trained weights. @param weights that it begins with */
  average(weights: Weights): MovingAverage;
  /** What a step of Adam would make of the weights. Within `tidy`. @param step from 1 */
  propose(gradients: ReadonlyMap<string, Tensor>, seen: ReadonlyMap<string, Tensor>, step: Step): Proposal;
  dispose(): void;
}

/** A moving average of the trained weights, where they are. */
export interface MovingAverage {
  /** Takes up the weights in force. @param share that they have in it from now on, 0 to 1 */
  add(share: number): void;
  read(): Weights;
}

interface Step {
  step: number;
  learningRate: number;
}

/** New weights, not in force yet. */
export interface Proposal {
  /** Euclidean norm of all gradients together. */
  gradientNorm: number;
  /** The name of the first weight that would hold a number that is not finite. */
  infinite(): string | undefined;
  /** Puts them in force. */
  accept(): void;
}

/** @param moments those of a training that goes on; what is not there is 0 */
export function openDeviceWeights(
  tensorflow: Tensorflow,
  architecture: Architecture,
  initial: Weights,
  moments: AdamState,
): DeviceWeights {
  const { tf } = tensorflow;
  const math = flatMath(tensorflow);
  const parameters = parametersOf(architecture);
  const trained = flatOf(
    tensorflow,
    parameters.filter((parameter) => parameter.trained),
  );
  const statistics = parameters.filter((parameter) => !parameter.trained);
  const running = statistics.length > 0 ? flatOf(tensorflow, statistics) : undefined;
  const moment = (suffix: string): Tensor => trained.upload((name) => moments.get(`${name}.${suffix}`)?.data);
  const own = { m: tf.keep(moment("m")), v: tf.keep(moment("v")) };
  const held = holdWeights(tf, trained, running, own);
  /** In JavaScript; undefined after a step. */
  let host: ReadonlyMap<string, WeightArray> | undefined;
  const upload = (weights: Weights): void => {
    host = new Map(parameters.map(({ name }) => [name, weights.get(name) as WeightArray]));
    const arrayOf = (name: string): Float32Array | undefined => host?.get(name)?.data;
    tf.tidy(() => held.replace({ weights: trained.upload(arrayOf) }, running?.upload(arrayOf)));
  };
  const read = (): ReadonlyMap<string, WeightArray> => {
    const { adam, statistics } = held.current();
    const back = host ?? new Map([...trained.read(adam.weights), ...readIf(running, statistics)]);
    // In the order that files have them in.
    host ??= new Map(parameters.map(({ name }) => [name, back.get(name) as WeightArray]));
    return host;
  };
  const nextRunning = (seen: ReadonlyMap<string, Tensor>, step: number): Tensor | undefined => {
    const { statistics } = held.current();
    const joined = running?.join((name) => seen.get(name) as Tensor);
    return statistics && joined && math.towards(statistics, joined, shareOf(step));
  };
  /** That which checkpoints have had Adam's moments in from the first: the way back's. */
  let order = trained.names;
  const averages: { vector: Tensor }[] = [];
  upload(initial);
  return {
    tensors: held.tensors,
    read,
    readRunning: (seen, step) => readIf(running, nextRunning(seen, step)),
    average: (weights) => {
      const average = { vector: tf.keep(trained.upload((name) => weights.get(name)?.data)) };
      averages.push(average);
      return {
        add: (share) => {
          const before = average.vector;
          average.vector = tf.tidy(() => tf.keep(math.towards(before, held.current().adam.weights, share)));
          before.dispose();
        },
        read: () => trained.read(average.vector),
      };
    },
    moments: () => {
      const { adam } = held.current();
      const [m, v] = [trained.read(adam.m), trained.read(adam.v)];
      return new Map(
        order.flatMap((name) => [
          [`${name}.m`, m.get(name) as WeightArray] as const,
          [`${name}.v`, v.get(name) as WeightArray] as const,
        ]),
      );
    },
    update: (weights) => upload(new Map([...read(), ...weights])),
    propose: (gradients, seen, { step, learningRate }) => {
      order = [...gradients.keys()];
      const gradient = math.widen(trained.join((name) => gradients.get(name) as Tensor));
      const next = adamStep(tensorflow, held.current().adam, gradient, step, { ...ADAM, learningRate });
      const statistics = nextRunning(seen, step);
      const changed = [next.weights, ...(statistics ? [statistics] : [])];
      // 0 times a number that is not finite is none: one sum tells of all. All come in one go, for a GPU has to be waited for.
      const zero = math.number(0, "kept");
      const zeros = changed.map((vector) => math.sum(math.multiply(math.widen(vector), zero)));
      const [squares = 0, ...sums] = readScalars(tensorflow, math.narrow, [
        math.sum(math.multiply(gradient, gradient)),
        ...zeros,
      ]);
      return {
        gradientNorm: Math.sqrt(squares),
        infinite: () => {
          if (sums.every(Number.isFinite)) return undefined;
          const all = [...trained.read(next.weights), ...readIf(running, statistics)];
          return all.find(([, { data }]) => !data.every(Number.isFinite))?.[0];
        },
        accept: () => {
          held.replace(next, statistics);
          host = undefined;
        },
      };
    },
    dispose: () => {
      held.dispose();
      tf.dispose(averages.map(({ vector }) => vector));
    },
  };
}

const readIf = (flat: Flat | undefined, vector: Tensor | undefined): Map<string, WeightArray> =>
  flat && vector ? flat.read(vector) : new Map();

/** Reads float64 numbers at once, as float32. */
function readScalars(
  { op }: Pick<Tensorflow, "op">,
  narrow: (a: Tensor) => Tensor,
  numbers: readonly Tensor[],
): Float32Array {
  const attributes: Attributes = { T: { type: "float64" }, N: { int: numbers.length }, axis: { int: 0 } };
  return narrow(op("Pack", numbers, attributes)[0] as Tensor).dataSync() as Float32Array;
}

interface Held {
  readonly tensors: ReadonlyMap<string, Tensor>;
  current(): { adam: AdamTensors; statistics: Tensor | undefined };
  /** Takes over tensors that were made within `tidy`; those that are not given stay. */
  replace(adam: Partial<AdamTensors> & Pick<AdamTensors, "weights">, statistics: Tensor | undefined): void;
  dispose(): void;
}

/** Holds the vectors, and the trained weights in their shapes, until others come. */
function holdWeights(
  tf: Tensorflow["tf"],
  trained: Flat,
  running: Flat | undefined,
  moments: Pick<AdamTensors, "m" | "v">,
): Held {
  let adam: Pick<AdamTensors, "m" | "v"> & Partial<AdamTensors> = moments;
  let statistics: Tensor | undefined;
  const tensors = new Map<string, Tensor>();
  const take = (now: Tensor | undefined, next: Tensor): Tensor => {
    if (next !== now) now?.dispose();
    return tf.keep(next);
  };
  return {
    tensors,
    current: () => ({ adam: adam as AdamTensors, statistics }),
    replace: (next, nextStatistics) => {
      adam = {
        weights: take(adam.weights, next.weights),
        m: take(adam.m, next.m ?? adam.m),
        v: take(adam.v, next.v ?? adam.v),
      };
      if (running && nextStatistics) statistics = take(statistics, nextStatistics);
      for (const [name, tensor] of trained.split(next.weights))
        tensors.set(name, take(tensors.get(name), tensor));
    },
    dispose: () => {
      tf.dispose([...Object.values(adam), ...(statistics ? [statistics] : []), ...tensors.values()]);
      tensors.clear();
    },
  };
}
