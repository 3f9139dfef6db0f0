import { chosenAt, type Drawing, type FigureMaker } from "../drawing.ts";
import { sheet } from "../picture.ts";

/** Figure 9: rows of anchor, positive and negative. */
export const triplets: FigureMaker<Drawing> = {
  subject: "triplets",
  async draw(drawing) {
    const { dataset, rgb, save } = drawing;
    const rows = await Promise.all(
      [0, 1, 2, 3].map((i) => {
        const [own, other] = [chosenAt(drawing, i), chosenAt(drawing, i + 1)];
        return Promise.all([rgb(own, 0), rgb(own, 1 % dataset.samples), rgb(other, 2 % dataset.samples)]);
      }),
    );
    return {
      title: "Triplets (figure 9)",
      caption:
        "Per row: anchor, positive (the same place, turned and shifted), negative (another place). The network learns to bring the first two together and to keep the third away.",
      pictures: [
        { file: await save("triplets.png", sheet(rows)), alt: "Rows of anchor, positive and negative" },
      ],
    };
  },
};
