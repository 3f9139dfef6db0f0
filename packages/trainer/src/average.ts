import type { AdamState, Encoder, WeightArray, Weights } from "@loc2vec/encoder";
import type { Feed } from "./feed.ts";
import type { Settings } from "./settings.ts";

/** Mini-batches that batch normalization's statistics are made of anew for averaged weights: the first of the training. */
export const CALIBRATION_BATCHES = 10;

/** Ends the name under which a checkpoint's optimizer file has a weight that the training goes on with. */
const OWN = ".training";

/** The moving average of a training's weights, which is what is judged, written and used, while the training has its own. */
export interface Average {
  /** Takes up the encoder's weights after a step. */
  add(step: number): void;
  /**
   * Puts the averaged weights in force, with statistics of batch normalization made anew for them, while something is done
   * with them; then those that the training goes on with.
   */
  during<T>(use: () => Promise<T>): Promise<T>;
  /** What a checkpoint's optimizer file holds: Adam's moments, and the weights that the training goes on with. */
  optimizer(moments: AdamState): Weights;
}

export interface AverageOptions {
  settings: Pick<Settings, "average" | "seed" | "dropout">;
  encoder: Pick<Encoder, "weights" | "update" | "statistics" | "average">;
  /** The averaged weights of the checkpoint that is gone on from; else those that the training begins with. */
  weights: Weights;
  /** Opens a feed of the first {@link CALIBRATION_BATCHES} mini-batches of the training. */
  openCalibration(): Feed;
}

/**
 * The average of the weights after each step, the older the less (Polyak & Juditsky 1992; as exponential average: Kingma &
 * Ba, arXiv 1412.6980, section 7.2). In step t it keeps min(`average`, (1 + t) / (10 + t)) of its past, as TensorFlow's
 * ExponentialMovingAverage does, so that it soon forgets where it began. Batch normalization's running statistics do not
 * belong to averaged weights, so they are made anew (Izmailov et al., arXiv 1803.05407, section 3.2): the mean over the
 * training's first {@link CALIBRATION_BATCHES} mini-batches, which pass forward as in training. All of it is a function of
 * the weights, so a training that resumes has the same.
 */
export function openAverage({ settings, encoder, weights, openCalibration }: AverageOptions): Average {
  const { average: share, seed, dropout } = settings;
  if (share === 0) return { add: () => {}, during: (use) => use(), optimizer: (moments) => moments };
  const averaged = encoder.average(weights);
  return {
    add: (step) => averaged.add(1 - Math.min(share, (1 + step) / (10 + step))),
    async during(use) {
      const own = new Map(encoder.weights);
      try {
        encoder.update(averaged.read());
        const feed = openCalibration();
        for (let i = 0; i < CALIBRATION_BATCHES; i++) {
          const { plan, tiles } = await feed.next();
          const { step, channelsOn } = plan;
          encoder.update(encoder.statistics({ tiles, channelsOn, seed, step, dropout }));
        }
        return await use();
      } finally {
        encoder.update(own);
      }
    },
    optimizer: (moments) =>
      new Map([...moments, ...[...encoder.weights].map(([name, array]) => [name + OWN, array] as const)]),
  };
}

/** What {@link Average.optimizer} gave; the weights are undefined where no average was kept. */
export function readOptimizer(optimizer: Weights): { moments: AdamState; own: Weights | undefined } {
  const [moments, own] = [new Map<string, WeightArray>(), new Map<string, WeightArray>()];
  for (const [name, array] of optimizer) {
    if (name.endsWith(OWN)) own.set(name.slice(0, -OWN.length), array);
    else moments.set(name, array);
  }
  return { moments, own: own.size > 0 ? own : undefined };
}
