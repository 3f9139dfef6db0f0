import { mean } from "@loc2vec/numeric";
import type { HistoryEntry } from "@loc2vec/trainer";
import { type ChartOptions, chart, LINE_COLOURS, type Line } from "../chart.ts";
import type { FigureMaker, ModelDrawing, Rival } from "../drawing.ts";
import type { FigurePicture } from "../page.ts";

/** Whether a loss is made of d⁺ and d⁻, so that these can be told. */
const isRatio = ({ loss }: Rival): boolean => loss === "softpn" || loss === "ratio";
/** Of a chart, CSS pixels. */
const WIDTH = 540;
/** A moving average reaches over this part of a training, to either side. */
const REACH = 1 / 50;
/** Steps at the beginning and at the end whose mean the caption says. */
const ENDS = 20;

/** Figure 11: how a training went, beside others. */
export const training: FigureMaker<ModelDrawing> = {
  id: "training",
  title: "The training",
  number: "11",
  async draw({ model, rivals, save }) {
    const [own, ...others] = [model, ...rivals].filter(({ history }) => history.length > 0);
    if (own === undefined)
      return {
        lacks: `Model ${model.name} has no history of a training in this store. Models that pnpm farm:train makes have one; --rivals names some to draw.`,
      };
    const shown = [own, ...others];
    const pictures: FigurePicture[] = [];
    for (const each of chartsOf(shown)) {
      // Two beside one another.
      const options = { ...each, width: WIDTH };
      const file = `training-${pictures.length + 1}.svg`;
      pictures.push(await save(file, chart(options)));
    }
    const ratios = shown.some(isRatio)
      ? " d⁺ = e^Δ / (e^Δ + e^δ) and d⁻ = 1 − d⁺ are computed from the mean distances of each mini-batch, Δ of the positives and δ of the negatives."
      : "";
    const courses = shown.map(
      ({ name, loss, history: entries }) =>
        `${name} (loss ${loss}): ${meanOf(entries.slice(0, ENDS)).toFixed(3)} in the first ${ENDS} steps, ${meanOf(entries.slice(-ENDS)).toFixed(3)} in the last ${ENDS} of ${entries.at(-1)?.step}`,
    );
    return {
      caption: `How training went, step by step. Losses: ${courses.join("; ")}.`,
      look: "where the figures for held-out places stop getting better though the loss still falls: from there on the network learns its own places by heart. Losses of different kinds cannot be compared; right triplets and found tiles can.",
      made: `From the history that each training keeps. Strong lines are moving averages over a fiftieth of the training to either side.${ratios} Held-out figures are those of squares of the map that are kept from training; a triplet is right where the positive is nearer than the negative, a tile is found where its nearest one shows the same place.`,
      pictures,
    };
  },
};

const meanOf = (entries: readonly HistoryEntry[]): number => mean(entries.map(({ loss }) => loss));

function chartsOf(shown: readonly Rival[]): ChartOptions[] {
  const names = shown.map(({ name }) => name).join(", ");
  const judged = shown.some(({ history }) => history.some(({ heldout }) => heldout !== undefined));
  const ratios = shown.filter(isRatio);
  const lossLines = [
    ...linesOf(shown, "loss", ({ loss }) => loss),
    ...heldoutLines(shown, "loss at held-out places", ({ loss }) => loss),
  ];
  const rightLines = [
    ...linesOf(shown, "triplets right", ({ accuracy }) => accuracy),
    ...heldoutLines(shown, "triplets right, held out", ({ accuracy }) => accuracy),
  ];
  const found = heldoutLines(shown, "tiles found, held out", ({ nearest }) => nearest);
  const distances = [
    ...linesOf(shown, "positives", ({ positive }) => positive),
    ...linesOf(shown, "negatives", ({ negative }) => negative, true),
  ];
  const parts = [
    ...linesOf(ratios, "d⁺", (entry) => positivePart(entry)),
    ...linesOf(ratios, "d⁻", (entry) => 1 - positivePart(entry), true),
  ];
  const all: (ChartOptions & { lines: readonly Line[] })[] = [
    { title: "Loss", description: `Loss by step of ${names}.`, y: "loss", lines: lossLines },
    {
      title: "d⁺ and d⁻",
      description: `SoftMax ratio of the mean distances by step of ${names}.`,
      ...{ y: "d⁺ → 0, d⁻ → 1", lines: parts, highest: 1 },
    },
    {
      title: "Triplets right",
      description: `Share of triplets that are right by step of ${names}.`,
      ...{ y: "share of triplets that are right", lines: rightLines, highest: 1 },
    },
    ...(judged
      ? [
          {
            title: "Tiles found",
            description: `Share of held-out tiles whose nearest one shows the same place, by step of ${names}.`,
            ...{ y: "share of held-out tiles that are found", lines: found, highest: 1 },
          },
        ]
      : []),
    {
      title: "Distances",
      description: `Mean distances of positives and negatives by step of ${names}.`,
      ...{ y: "mean distance in embedding space", lines: distances },
    },
  ];
  return all.filter(({ lines }) => lines.length > 0);
}

/** d⁺ of the mean distances. */
function positivePart({ positive, negative }: HistoryEntry): number {
  return 1 / (1 + Math.exp(negative - positive));
}

/** Each model's course: the steps faint, their moving average strong. */
function linesOf(
  shown: readonly Rival[],
  what: string,
  read: (entry: HistoryEntry) => number,
  dashed = false,
): Line[] {
  return shown.flatMap(({ name, history: entries }, i): Line[] => {
    const colour = colourAt(i);
    const values = entries.map(read);
    const points = (of: readonly number[]) =>
      entries.map(({ step }, at) => [step, of[at] as number] as const);
    return [
      { colour, width: 1, opacity: 0.3, points: points(values) },
      { name: `${name}: ${what}`, colour, width: 2.5, dashed, points: points(smooth(values)) },
    ];
  });
}

/** What held-out places say at checkpoints. */
function heldoutLines(
  shown: readonly Rival[],
  what: string,
  read: (figures: NonNullable<HistoryEntry["heldout"]>) => number,
): Line[] {
  return shown.flatMap(({ name, history: entries }, i): Line[] => {
    const points = entries.flatMap(({ step, heldout }) =>
      heldout === undefined ? [] : [[step, read(heldout)] as const],
    );
    if (points.length === 0) return [];
    return [{ name: `${name}: ${what}`, colour: colourAt(i), width: 2, dashed: true, points }];
  });
}

const colourAt = (i: number): string => LINE_COLOURS[i % LINE_COLOURS.length] as string;

/** Means over {@link REACH} of all values to either side, by running sums. */
function smooth(values: readonly number[]): number[] {
  const reach = Math.max(1, Math.round(values.length * REACH));
  const sums = new Float64Array(values.length + 1);
  for (const [i, value] of values.entries()) sums[i + 1] = (sums[i] as number) + value;
  return values.map((_, i) => {
    const [first, end] = [Math.max(0, i - reach), Math.min(values.length, i + reach + 1)];
    return ((sums[end] as number) - (sums[first] as number)) / (end - first);
  });
}
