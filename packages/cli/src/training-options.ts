import { DEFAULT_HOLDOUT } from "@loc2vec/core";
import {
  compactNetwork,
  countParameters,
  DROPOUT,
  type Dropout,
  LOC2VEC,
  LOSS_NAMES,
  LOSSES,
  type LossName,
  NETWORKS,
  type NetworkInput,
  type Precision,
} from "@loc2vec/encoder";
import { type Command, Option } from "commander";
import { dropout, network, notNegative, positive, share, whole } from "./options.ts";

/** Options of a training, as `farm train` and `farm enqueue` take them. */
export interface TrainingOptions {
  batchLocations: number;
  pairs: number;
  negatives: number;
  dropout: Dropout;
  precision: Precision;
  loss: LossName;
  distanceScale: number;
  network: NetworkInput;
  learningRate: number;
  checkpointEvery: number;
  empty: "skip" | "keep";
  minDistance?: number;
  holdout: number;
  cell: number;
  border?: number;
  warmup: number;
  halveEvery: number;
  patience?: number;
  maxSeconds?: number;
}

/** As the trainer, and the payload of a job, have them. */
export function trainingOf(options: TrainingOptions) {
  const { loss, distanceScale, network, precision, dropout, learningRate, checkpointEvery, empty } = options;
  const { warmup, halveEvery, patience, maxSeconds } = options;
  return {
    batch: { locations: options.batchLocations, pairs: options.pairs, negatives: options.negatives },
    minDistanceM: options.minDistance,
    holdout: { share: options.holdout, cellM: options.cell, borderM: options.border },
    ...{ loss, distanceScale, network, precision, dropout, learningRate, checkpointEvery, empty },
    ...{ warmup, halveEvery, patience, maxSeconds },
  };
}

/** Adds the options of a training. */
export function withTraining(to: Command, about = ""): Command {
  const networks = Object.entries(NETWORKS).map(([name, layers]) => {
    const count = countParameters({ ...LOC2VEC, layers }).toLocaleString("en");
    return `${name} (${count} parameters)`;
  });
  const losses = LOSS_NAMES.map((name) => `${name}: ${LOSSES[name].about}`);
  return to
    .option("--batch-locations <n>", `${about}locations per mini-batch`, whole(2, 1000), 20)
    .option("--pairs <n>", `${about}(anchor, positive) pairs per location`, whole(1, 1000), 5)
    .option(
      "--negatives <n>",
      `${about}of each pair, among the other locations of the mini-batch`,
      whole(1, 1000),
      1,
    )
    .addOption(
      new Option("--loss <loss>", `${about}${losses.join("; ")}`).choices(LOSS_NAMES).default("softpn"),
    )
    .option("--distance-scale <n>", `${about}what distances are multiplied by in the loss`, positive, 1)
    .addOption(
      new Option(
        "--network <network>",
        `${about}${networks.join(", ")}, {"pooled": […], "pointwise": […], "dense": n, "embedding": n}, or a list of layers: [{"kind": "conv", …}, …]`,
      )
        .argParser(network)
        .default(compactNetwork(NETWORKS.paper), "paper"),
    )
    .addOption(
      new Option(
        "--precision <precision>",
        `${about}auto: mixed (bfloat16 convolutions) where the device has bfloat16, else float32`,
      )
        .choices(["auto", "float32", "mixed"])
        .default("auto"),
    )
    .addOption(
      new Option("--dropout <rates>", `${about}of the input's channels, of feature maps, of the dense layer`)
        .argParser(dropout)
        .default(DROPOUT, Object.values(DROPOUT).join()),
    )
    .addOption(
      new Option("--empty <policy>", `${about}tiles without a drawn pixel`)
        .choices(["skip", "keep"])
        .default("skip"),
    )
    .option(
      "--min-distance <metres>",
      `${about}between locations of a mini-batch (default: two footprints, 510, or less on a small map)`,
      notNegative,
    )
    .option(
      "--holdout <share>",
      `${about}of the map's cells, kept from training to evaluate on`,
      share,
      DEFAULT_HOLDOUT.share,
    )
    .option("--cell <metres>", `${about}side of those cells`, positive, DEFAULT_HOLDOUT.cellM)
    .option(
      "--border <metres>",
      `${about}around those cells, neither trained nor evaluated on (default: ${DEFAULT_HOLDOUT.borderM}, two footprints)`,
      notNegative,
    )
    .option("--learning-rate <rate>", `${about}of Adam`, positive, 0.001)
    .option("--warmup <n>", `${about}steps over which the learning rate rises to its height`, whole(0), 0)
    .option("--halve-every <n>", `${about}steps after which the learning rate halves; 0: never`, whole(0), 0)
    .option("--patience <n>", `${about}end when the loss has not fallen for so many steps`, whole(1))
    .option(
      "--max-seconds <n>",
      `${about}end after so long, to go on when called again; a job goes on when others had their turn`,
      positive,
    )
    .option("--checkpoint-every <n>", `${about}steps`, whole(1), 100);
}
