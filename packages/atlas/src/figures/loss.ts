import { mean } from "@loc2vec/numeric";
import { chartSvg } from "../chart.ts";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";

/** Steps at the beginning and at the end whose mean the caption says. */
const ENDS = 5;

/** The course of a training. */
export const loss: FigureMaker<ModelDrawing> = {
  subject: "loss",
  async draw({ losses, saveSvg }) {
    const [start, end] = [mean(losses.slice(0, ENDS)), mean(losses.slice(-ENDS))];
    return {
      title: "Loss",
      caption: `Loss by step: mean of the first ${ENDS} steps ${start.toFixed(4)}, of the last ${ENDS} ${end.toFixed(4)}.`,
      pictures: [{ file: await saveSvg("loss.svg", lossSvg(losses)), alt: "Loss by step" }],
    };
  },
};

/** Each step as a faint line, a moving average as a strong one. */
function lossSvg(losses: readonly number[]): string {
  const reach = Math.max(1, Math.round(losses.length / 25));
  const smooth = losses.map((_, i) => mean(losses.slice(Math.max(0, i - reach), i + reach + 1)));
  const points = (values: readonly number[]) => values.map((value, i) => [i + 1, value] as const);
  return chartSvg("Loss by step", [
    { colour: "#9db7d6", width: 1, points: points(losses) },
    { colour: "#1f5fa8", width: 2.5, points: points(smooth) },
  ]);
}
