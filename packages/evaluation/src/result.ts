import type { Holdout } from "@loc2vec/core";
import type { HistoryEntry } from "@loc2vec/trainer";
import type { Score } from "./logistic.ts";
import type { Lookalike } from "./lookalikes.ts";
import type { Quality } from "./metrics.ts";
import type { Geography } from "./places.ts";

/** Whether a contestant is a model, its network before any training, or something that takes no training. */
export type ContestantKind = "model" | "untrained" | "baseline";

/** How well linear probes do by the number of labelled locations that they learned from: means over draws. */
export type ProbeScores = Record<string, Score & { deviation: number }>;

/** How good one contestant is. */
export interface Evaluated extends Quality {
  name: string;
  kind: ContestantKind;
  /** Length of a vector. */
  size: number;
  /** Steps that a model was trained for, and the loss it was trained with. */
  step?: number;
  loss?: string;
  probe?: ProbeScores;
}

/** Something that the first model is held to. */
export interface Bar {
  bar: string;
  value: number;
  least: number;
  met: boolean;
}

/** What a linear probe was asked, and of how many. */
export interface LabelCounts {
  meaning: string;
  /** Names of the channels that were switched off. */
  masked: string[];
  /** Labelled locations that a probe may learn from. */
  train: number;
  /** Labelled locations that it is asked for. */
  heldout: number;
  /** How many of those are of each class. */
  classes: Record<string, number>;
  /** Share of the most frequent class among them; 0 where none is held out. */
  majority: number;
}

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
    /** `squares`: held-out cells of the data set trained on; `elsewhere`: all of another one. */
    kind: Geography["kind"];
    trained_on: string;
    /** Metres between the nearest two locations of which one was trained on, and the other is judged by. */
    nearest_trained_m: number;
    /** Whether tiles of the two can show the same ground. */
    overlaps: boolean;
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
  labels?: LabelCounts;
  bars: Bar[];
  /** Figure 7, by the first model; `a` and `b` are indices of locations. */
  lookalikes: Lookalike[];
  curves: Curve[];
}
