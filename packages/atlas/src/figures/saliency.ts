import { type Saliency, saliency } from "@loc2vec/insight";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { chosenAt, type FigureMaker, type ModelDrawing } from "../drawing.ts";
import { type Cell, type Row, tileGrid } from "../grid.ts";
import { heatPicture } from "../heat.ts";
import { channelWords } from "../objects.ts";

const TILES = { full: 5, quick: 2 } as const;
/** Points of the way from the blank tile. */
const STEPS = { full: 64, quick: 16 } as const;
/** Channels that are shown by themselves. */
const SHOWN = 4;
/** The share of pixels that are as bright as can be. */
const BRIGHTEST = 0.998;

/** Which channels and pixels of a tile move its embedding. */
export const saliencyFigure: FigureMaker<ModelDrawing> = {
  id: "saliency",
  title: "What of a tile moves its embedding",
  async draw(drawing) {
    const { chosen, effort, model, signal, save } = drawing;
    const count = Math.min(TILES[effort], chosen.length);
    const tensorflow = await loadTensorflow();
    const progress = drawing.progress("saliency", count, "tiles");
    const rows: Row[] = [];
    const gaps: number[] = [];
    for (let i = 0; i < count; i++) {
      signal.throwIfAborted();
      const location = chosenAt(drawing, i);
      const tile = await drawing.tile(location, 0);
      const found = await saliency(tensorflow, model.architecture, model.weights, tile, {
        steps: STEPS[effort],
      });
      rows.push(await drawRow(drawing, location, found));
      gaps.push(found.gap);
      progress.update(i + 1);
    }
    progress.finish();
    const description = `${count} rows: a tile, where in it its embedding comes from, and the ${SHOWN} channels that give most.`;
    const title = "What of a tile moves its embedding";
    const columns = [
      "tile",
      "all channels",
      ...Array.from({ length: SHOWN }, (_, i) => (i === 0 ? "the strongest channels" : "")),
    ];
    return {
      caption: `Where the embedding of a tile comes from: how much each pixel moves it away from that of a blank tile, dark where nothing, pale yellow where most; over all channels, and in the ${SHOWN} that give most, with their shares.`,
      look: "thin and small things that weigh more than their size: shops, walls, tracks, crossings. Of an area, a pixel gives little, though all of it together may give most.",
      made: `Integrated gradients (Sundararajan et al. 2017) of all ${drawing.embeddings.size} numbers, in ${STEPS[effort]} steps from the blank tile; of a pixel, the Euclidean norm of what it adds to each. They add up to the whole move but for ${(100 * Math.max(...gaps)).toFixed(1)} % of it at most. What is missing from a place cannot be told so. Brightness is by the strongest pixels of a row.`,
      pictures: [
        await save("saliency.svg", await tileGrid({ title, description, rows, columns, side: 168 })),
      ],
    };
  },
};

async function drawRow(
  drawing: ModelDrawing,
  location: number,
  { magnitude, shares, side }: Saliency,
): Promise<Row> {
  const area = side * side;
  const plane = (channel: number): Float32Array => magnitude.subarray(channel * area, (channel + 1) * area);
  const whole = new Float32Array(area);
  for (let channel = 0; channel < shares.length; channel++)
    for (const [i, value] of plane(channel).entries()) whole[i] = (whole[i] as number) + value;
  const sorted = whole.toSorted();
  const top = Math.max(1e-12, sorted[Math.round(BRIGHTEST * (area - 1))] as number);
  // The root: what is weak can be seen, too.
  const heat = (values: Float32Array) => heatPicture(values.map((value) => Math.sqrt(value / top)));
  const order = [...shares.keys()]
    .sort((a, b) => (shares[b] as number) - (shares[a] as number))
    .slice(0, SHOWN);
  const cells: Cell[] = [
    {
      ...{
        picture: await drawing.rgb(location, 0),
        alt: `Location ${location}`,
        below: [`location ${location}`],
      },
    },
    {
      picture: heat(whole),
      alt: "Where its embedding comes from, over all channels",
      below: ["all channels"],
    },
    ...order.map((channel) => {
      const said = `${channelWords(drawing, channel)}: ${Math.round(100 * (shares[channel] as number))} %`;
      return { picture: heat(plane(channel)), alt: `Where it comes from in ${said}`, below: [said] };
    }),
  ];
  return { cells };
}
