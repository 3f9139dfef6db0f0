import { type Architecture, inputSide, layersOf } from "@loc2vec/encoder";
import { DEFAULT_ASCENT, type Maximized, maximizeActivations, topChannels } from "@loc2vec/insight";
import { loadTensorflow } from "@loc2vec/tensorflow";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { channelWords } from "../objects.ts";
import type { FigurePicture } from "../page.ts";
import { FULL_WIDTH, image, LINE_HEIGHT, rasterOf, type Svg, svg, words } from "../svg.ts";

/** Steps uphill. */
const ITERATIONS = { full: DEFAULT_ASCENT.iterations, quick: 24 } as const;
/** Convolutions that are shown, and filters of each. */
const LAYERS = { full: Number.POSITIVE_INFINITY, quick: 2 } as const;
/** Side of an image, pixels, for the first convolutions and for those that look farther. */
const [SIDE, WIDE_SIDE, WIDE_FROM] = [32, 48, 3] as const;
/** How large an image is seen, and the gap between two, CSS pixels. */
const [SEEN, GAP] = [60, 5] as const;
/** Of WebP: textures are small and many; and bytes of a sheet's, before they are written as text. */
const [QUALITY, MOST_BYTES] = [55, 180_000] as const;

/** Figures 13 and 14: what the filters of each convolution respond to. */
export const filters: FigureMaker<ModelDrawing> = {
  id: "filters",
  title: "What filters respond to",
  number: "13 and 14",
  async draw(drawing) {
    const { model, effort, signal, dataset } = drawing;
    const { architecture, weights } = model;
    // A convolution's kernel is height, width, input, output.
    const convolutions = layersOf(architecture).filter(({ kernel }) => kernel?.length === 4);
    const shown = convolutions.slice(0, LAYERS[effort]);
    if (shown.length === 0) return { lacks: `The network of model ${model.name} has no convolution.` };
    const tensorflow = await loadTensorflow();
    const progress = drawing.progress("filters", shown.length, "layers");
    const pictures: FigurePicture[] = [];
    const told: string[] = [];
    for (const [i, { name }] of shown.entries()) {
      signal.throwIfAborted();
      const side = i < WIDE_FROM - 1 ? SIDE : WIDE_SIDE;
      const ascent = { iterations: ITERATIONS[effort], attempts: effort === "full" ? 3 : 1 };
      const found = await maximizeActivations(tensorflow, architecture, weights, {
        ...{ layer: name, seed: dataset.seed, side: sideOf(side, architecture) },
        ...ascent,
      });
      const strongest = strongestOf(drawing, found);
      told.push(`${name}: ${found.filters.length} filters, ${deadText(found)}`);
      const below = `${name}: ${found.filters.length} filters, ${deadText(found)}; most often among the three: ${strongest}`;
      pictures.push({ ...(await drawing.save(`filters-${name}.svg`, await drawSheet(found))), below });
      progress.update(i + 1);
    }
    progress.finish();
    const { decay, blurEvery, blurWidth, rate } = DEFAULT_ASCENT;
    const rest = convolutions.length - shown.length;
    return {
      caption: `For each filter of ${rest > 0 ? `the first ${shown.length} of ${convolutions.length}` : `the ${shown.length}`} convolutions an image that it responds to strongly, made from noise; below each its number. Of the image’s ${dataset.channels.length} channels the three of the highest mean magnitude are shown as red, green and blue, each equalized by itself.`,
      look: "soft clouds in the first layer, whose filters answer to a mix of map objects wherever it lies (equalizing shows what was left of the noise); lines and edges in the next, textures and blobs in later ones. Colours of two images cannot be compared: red may be roads in one and water in the other.",
      made: `Activation maximization (Erhan et al. 2009): ${ITERATIONS[effort]} steps up the gradient of the mean of the filter’s map, after normalization and LeakyReLU, by the pixels. Each step has a root mean square of ${rate} of 255. Regularization, after Yosinski et al. 2015: pixels lose ${Math.round(100 * decay)} % with each step, are blurred by ${blurWidth} pixel after each ${blurEvery}, and stay within 0 and 255. A filter counts as dead, and is crossed out, where nothing makes it respond from ${effort === "full" ? "three different noises" : "noise"}. ${told.join("; ")}.`,
      pictures,
    };
  },
};

/** At least as many pixels as wanted, and so many that every layer can halve them. */
function sideOf(wanted: number, architecture: Architecture): number {
  const maps = layersOf(architecture).filter(({ output }) => output.length === 3);
  const halvings = inputSide(architecture) / (maps.at(-1)?.output[0] as number);
  return halvings * Math.ceil(wanted / halvings);
}

function deadText({ dead }: Maximized): string {
  return dead.length === 0 ? "none dead" : `${dead.length} dead`;
}

const imageOf = ({ images, channels, side }: Maximized, at: number): Float32Array =>
  images.subarray(at * channels * side * side, (at + 1) * channels * side * side);

/** The channels that are most often among the strongest three of a filter. */
function strongestOf(drawing: ModelDrawing, found: Maximized): string {
  const counts = new Map<number, number>();
  for (const at of found.filters.keys())
    for (const channel of topChannels(imageOf(found, at), found.channels).channels)
      counts.set(channel, (counts.get(channel) ?? 0) + 1);
  return [...counts]
    .sort(([a, x], [b, y]) => y - x || a - b)
    .slice(0, 3)
    .map(([channel]) => channelWords(drawing, channel))
    .join(", ");
}

async function drawSheet(found: Maximized): Promise<Svg> {
  const { filters: all, layer, side, channels } = found;
  const columns = Math.min(all.length, Math.floor((FULL_WIDTH + GAP) / (SEEN + GAP)));
  const rows = Math.ceil(all.length / columns);
  const high = SEEN + LINE_HEIGHT;
  const most = MOST_BYTES / all.length;
  const cells = all.map(async (filter, at) => {
    const [x, y] = [(at % columns) * (SEEN + GAP), Math.floor(at / columns) * high];
    const { rgb: data } = topChannels(imageOf(found, at), channels);
    const own = await rasterOf({ width: side, height: side, data }, { as: "webp", quality: QUALITY, most });
    const dead = found.dead.includes(filter);
    const cross = `<path d="M${x} ${y}l${SEEN} ${SEEN}m0 -${SEEN}l-${SEEN} ${SEEN}" stroke="#d33" stroke-width="2"/>`;
    return [
      image(own, { x, y, width: SEEN, height: SEEN }, `Filter ${filter} of ${layer}${dead ? ", dead" : ""}`),
      ...(dead ? [cross] : []),
      words(String(filter), x + SEEN / 2, y + SEEN + 13, { size: 12, anchor: "middle", tone: "soft" }),
    ];
  });
  const description = `Images that the ${all.length} filters of ${layer} respond to, ${deadText(found)}.`;
  return svg(
    {
      title: `Filters of ${layer}`,
      description,
      width: columns * (SEEN + GAP) - GAP,
      height: rows * high + 2,
    },
    (await Promise.all(cells)).flat(),
  );
}
