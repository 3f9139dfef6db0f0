import { chosenAt, type Drawing, type FigureMaker } from "../drawing.ts";
import { tileGrid } from "../grid.ts";

/** Tiles in a row, at most; and rows. */
const [SAMPLES, ROWS] = [8, 3] as const;

/** Figure 5: anchors and their positives, a row of each. */
export const augmentations: FigureMaker<Drawing> = {
  id: "augmentations",
  title: "Rotated and shifted",
  number: "5",
  async draw(drawing) {
    const { dataset, rgb, save } = drawing;
    const shown = Math.min(dataset.samples, SAMPLES);
    if (shown < 2)
      return {
        lacks: `Data set ${dataset.name} has no positives: its locations have one tile each. pnpm farm:enqueue --positives 20 makes one that has.`,
      };
    const { rotate, maxOffset } = dataset.augmentation;
    const rows = await Promise.all(
      Array.from({ length: Math.min(ROWS, drawing.chosen.length) }, async (_, i) => {
        const location = chosenAt(drawing, i);
        const cells = Array.from({ length: shown }, async (_, sample) => ({
          picture: await rgb(location, sample),
          alt: sample === 0 ? `Anchor of location ${location}` : `Positive ${sample} of location ${location}`,
          below: [sample === 0 ? `anchor ${location}` : `positive ${sample}`],
        }));
        return { cells: await Promise.all(cells) };
      }),
    );
    const description = `Rows of an anchor and ${shown - 1} positives of it, the same place turned and shifted.`;
    return {
      caption: `Anchors (left), and ${shown - 1} of the ${dataset.samples - 1} positives of each: the same place, turned by any angle${rotate ? "" : " (off here)"} and shifted by up to ${maxOffset} m in both axes.`,
      look: "the same street in each tile of a row, at another angle. There are no blurred lines and no empty corners: the map was turned, not the pixels.",
      made: "Angle and shift follow from the data set’s seed, the location’s number and the tile’s, and are applied to the map’s geometries before they are drawn.",
      pictures: [
        await save("augmentations.svg", await tileGrid({ title: "Rotated and shifted", description, rows })),
      ],
    };
  },
};
