/** A line of a training's history. */
export interface HistoryEntry {
  step: number;
  /** Mean over the mini-batch's triplets. */
  loss: number;
  /** Mean distance of anchor and positive. */
  positive: number;
  /** Mean distance of the negative to the nearer of anchor and positive. */
  negative: number;
  /** Share of triplets whose positive is nearer than its negative. */
  accuracy: number;
  /** Euclidean norm of all gradients. */
  gradientNorm?: number;
  /** Adam's, as scheduled for this step. */
  learningRate?: number;
  /** Wall time of the step. */
  seconds: number;
  /** How much of `seconds` the step waited for its tiles. */
  waited: number;
  /** At checkpoints, how the weights after this step judge places that are kept from training. */
  heldout?: HeldoutFigures;
}

/** The same triplets of held-out locations each time, judged by the weights in inference mode. */
export interface HeldoutFigures {
  /** Share of triplets whose positive is nearer than its negative. */
  accuracy: number;
  /** Mean over the triplets, as of a mini-batch. */
  loss: number;
}
