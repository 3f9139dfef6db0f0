import type { Holdout } from "@loc2vec/core";
import type { HistoryEntry } from "@loc2vec/trainer";
import type { ClassScore } from "./logistic.ts";
import type { Lookalike } from "./lookalikes.ts";
import type { Quality } from "./metrics.ts";
import type { Geography } from "./places.ts";
import type { NumberScore } from "./ridge.ts";

/** Whether a contestant is a model, its network before any training, or something that takes no training. */
export type ContestantKind = "model" | "untrained" | "baseline";

/** How well a linear probe does: means over draws of what it learned from, and the standard deviation of accuracy or R². */
export type ProbeScore = (ClassScore | NumberScore) & { deviation: number };

/** By the number of labelled locations that probes learned from. */
export type ProbeScores = Record<string, ProbeScore>;

/** What is measured of a contestant. */
export interface Figures extends Quality {
  /** By the name of the labels. */
  probes?: Record<string, ProbeScores>;
}

/** How good one contestant is. */
export interface Evaluated extends Figures {
  name: string;
  kind: ContestantKind;
  /** Length of a vector. */
  size: number;
  /** Steps that a model was trained for, and the loss it was trained with. */
  step?: number;
  loss?: string;
  /** Words of a bag of words, or of the one that was reduced. */
  words?: number;
}

/** Models whose settings differ in nothing but the seed. */
export interface Group {
  models: string[];
  /** Of each of them, its seed, and the step of its checkpoint. */
  seeds: number[];
  steps: number[];
  /** Length of a vector. */
  size: number;
  mean: Figures;
  /** Standard deviation, by the number of models less one. */
  deviation: Figures;
  minimum: Figures;
  maximum: Figures;
}

/** Something that the first model is held to; its group's mean, where it has one. */
export interface Bar {
  bar: string;
  value: number;
  least: number;
  /** What is hoped for beyond it. */
  aim?: number;
  /** Whose figure it goes by. */
  rival?: string;
  met: boolean;
}

/** What a linear probe was asked, and of how many. */
export type LabelCounts = {
  name: string;
  meaning: string;
  /** Names of the channels that were switched off. */
  masked: string[];
  /** Labelled locations that a probe may learn from. */
  train: number;
  /** Labelled locations that it is asked for. */
  heldout: number;
} & (
  | {
      kind: "classes";
      /** How many of those asked for are of each class. */
      classes: Record<string, number>;
      /** Classes that are too rare, and how many locations are of each. */
      left_out: Record<string, number>;
      /** Share of the most frequent class among those asked for; 0 where none is held out. */
      majority: number;
    }
  | {
      kind: "numbers";
      /** Of those asked for. */
      mean: number;
      deviation: number;
    }
);

/** Figure 11: how a model's training went. */
export interface Curve {
  model: string;
  loss: string;
  /** Means of equally many steps each; `step` is the last of them. */
  points: Omit<HistoryEntry, "seconds" | "waited" | "heldout">[];
  /** Right triplets of held-out locations at checkpoints, where they were counted while it was trained. */
  heldout: { step: number; accuracy: number }[];
}

/** What `evaluate` measured. */
export interface Evaluation {
  dataset: string;
  geography: {
    /** `squares`: held-out cells of a data set trained on; `elsewhere`: all of another one, but for what was seen. */
    kind: Geography["kind"];
    /** Name of the data set, or of each. */
    trained_on: string | string[];
    /** Metres between the nearest two locations of which one was trained on, and the other is judged by. */
    nearest_trained_m: number;
    /** Whether tiles of the two can show the same ground. */
    overlaps: boolean;
    /** Locations elsewhere that are left out, since their tiles can show ground that was trained on; absent for none. */
    seen?: number;
  };
  holdout: Holdout;
  locations: { train: number; heldout: number; evaluated: number };
  positives: number;
  /** Median distance from an evaluated location to the nearest other one, metres. */
  nearest_m: number;
  /**
   * Recall of one who knows where every tile was taken, and answers with the nearest anchors on the ground: positives are
   * shifted, often to where others' anchors are nearer than their own. A ceiling of what tiles can tell.
   */
  ground: { recall_at_1: number; recall_at_10: number };
  results: Evaluated[];
  /** Those of more than one model. */
  groups: Group[];
  labels: LabelCounts[];
  bars: Bar[];
  /** Figure 7, by the first model; `a` and `b` are indices of locations. */
  lookalikes: Lookalike[];
  curves: Curve[];
}
