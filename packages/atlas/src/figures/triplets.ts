import { chosenAt, type Drawing, type FigureMaker } from "../drawing.ts";
import { tileGrid } from "../grid.ts";

/** Triplets, two in a row. */
const ROWS = 3;

/** Figure 9: triplets of anchor, positive and negative. */
export const triplets: FigureMaker<Drawing> = {
  id: "triplets",
  title: "Triplets",
  number: "9",
  async draw(drawing) {
    const { dataset, chosen, rgb, save } = drawing;
    if (chosen.length < 2 || dataset.samples < 2)
      return {
        lacks: `A triplet needs two locations and a positive: data set ${dataset.name} has ${chosen.length} and ${dataset.samples - 1} of them rendered. pnpm farm:work renders more.`,
      };
    const cell = async (location: number, sample: number, what: string, frame: string) => ({
      picture: await rgb(location, sample),
      ...{ alt: `${what}: location ${location}`, below: [`${what}, ${location}`], frame },
    });
    const tripletAt = (i: number) => {
      const [own, other] = [chosenAt(drawing, i), chosenAt(drawing, i + 1)];
      return Promise.all([
        cell(own, 0, "anchor", "#3a6fb0"),
        cell(own, 1, "positive", "#2e8b57"),
        cell(other, Math.min(2, dataset.samples - 1), "negative", "#c2472f"),
      ]);
    };
    const rows = await Promise.all(
      Array.from({ length: ROWS }, async (_, i) => ({
        cells: [...(await tripletAt(2 * i)), undefined, ...(await tripletAt(2 * i + 1))],
      })),
    );
    const description = `${2 * ROWS} triplets of an anchor, a positive of the same location and a negative of another one.`;
    return {
      caption:
        "An anchor (blue), a positive (green: the same place, turned and shifted) and a negative (red: any tile of another place). The network learns to bring the first two together and to keep the third away.",
      look: "negatives that could be taken for the anchor: they are what makes it hard. Which place is another one is all that the network is told; nobody labels anything.",
      made: "The tiles are those that training reads, before it switches off a random subset of the positive’s channels. In training the negatives of a mini-batch are drawn anew at each step; here each is the next chosen location.",
      pictures: [
        await save("triplets.svg", await tileGrid({ title: "Triplets", description, rows, side: 144 })),
      ],
    };
  },
};
