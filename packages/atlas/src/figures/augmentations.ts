import { chosenAt, type Drawing, type FigureMaker } from "../drawing.ts";
import { sheet } from "../picture.ts";

/** Tiles in a row, at most. */
const SAMPLES = 8;

/** Figure 5: anchors and their positives, a row of each. */
export const augmentations: FigureMaker<Drawing> = {
  subject: "augmentations",
  async draw(drawing) {
    const { dataset, rgb, save } = drawing;
    const shown = Math.min(dataset.samples, SAMPLES);
    const rows = await Promise.all(
      [0, 1, 2].map((i) =>
        Promise.all(Array.from({ length: shown }, (_, sample) => rgb(chosenAt(drawing, i), sample))),
      ),
    );
    return {
      title: "Rotated and shifted (figure 5)",
      caption: `Three anchors (left), and ${shown - 1} of the ${dataset.samples - 1} positives of each: the same place, turned by any angle${dataset.augmentation.rotate ? "" : " (off here)"} and shifted by up to ${dataset.augmentation.maxOffset} m in both axes before it is rasterized.`,
      pictures: [{ file: await save("augmentation.png", sheet(rows)), alt: "Anchors and their positives" }],
    };
  },
};
