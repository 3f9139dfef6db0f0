/** A line of a training's history. */
export interface HistoryEntry {
  step: number;
  /** Of the mini-batch, with what is added to it. */
  loss: number;
  /** Mean distance of the positives: see `LossResult` of the encoder. */
  positive: number;
  /** Mean distance that the negatives are told apart by: see there. */
  negative: number;
  /** Share of the drawn triplets whose positive is nearer than its negative, whatever the loss is. */
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

/** The same triplets of held-out locations each time, judged by the weights in inference mode, or by their average. */
export interface HeldoutFigures {
  /** Share of triplets whose positive is nearer than its negative. */
  accuracy: number;
  /** Share of the tiles whose nearest other one, of all of them, shows the same location. */
  nearest: number;
  /** As of a mini-batch of all those tiles; in it, a loss of all negatives has no regard to how far apart locations lie. */
  loss: number;
}
