import { applyProjection, fitPca, trustworthiness, tsne, umap } from "@loc2vec/space";
import sharp from "sharp";
import { type Cloud, openScene, turnOf } from "../cloud.ts";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { percent, tooFew } from "../near.ts";
import type { FigurePicture } from "../page.ts";
import type { Picture } from "../picture.ts";

/** Points of the still and of the animation. */
const POINTS = { full: [2000, 500], quick: [600, 250] } as const;
/** Rows that t-SNE and UMAP arrange. */
const ARRANGED = { full: 20_000, quick: 1000 } as const;
const ITERATIONS = { full: 1000, quick: 300 } as const;
const EPOCHS = { full: 300, quick: 100 } as const;
/** Rows that trustworthiness is measured with. */
const MEASURED = 2000;
const LEAST = 30;
/** Sizes of the pictures and of a tile in them, CSS pixels; the still has twice as many pixels. */
const [STILL, TURN, TILE] = [[600, 480], 480, 26] as const;
/** Radians. */
const STILL_ANGLE = 0.5;
const [FRAMES, DELAY_MS, MOST_BYTES] = [30, 130, 300_000] as const;

/** Rows in three dimensions, and what there is to say of them. */
interface Placed {
  /** Float [rows, 3], of all rows. */
  positions: ArrayLike<number>;
  /** How it was made, as a sentence or two. */
  made: string;
}

interface Way {
  id: string;
  title: string;
  number?: string;
  name: string;
  look: string;
  place(drawing: ModelDrawing): Promise<Placed>;
}

function cloudFigure({ id, title, number, name, look, place }: Way): FigureMaker<ModelDrawing> {
  return {
    ...{ id, title },
    ...(number === undefined ? {} : { number }),
    async draw(drawing) {
      const lacks = tooFew(drawing, LEAST, title);
      if (lacks !== undefined) return { lacks };
      const { shuffled, effort, embeddings } = drawing;
      const { positions, made } = await place(drawing);
      const shown = shuffled.slice(0, POINTS[effort][0]);
      const kept = trustOf(drawing, positions);
      const pictures = await drawCloud(drawing, { id, name, shown, positions });
      return {
        caption: `The ${embeddings.size}-dimensional space in three dimensions by ${name}, each point its own tile: ${shown.length} of ${shuffled.length} places, and a turn of ${Math.min(POINTS[effort][1], shown.length)} of them.`,
        look,
        made: `${made} Trustworthiness is ${kept.toFixed(3)} (1 where all five nearest in the picture are near in the space, too; about 0.5 by chance), over ${Math.min(MEASURED, shuffled.length)} places. Near tiles lie over far ones, and far ones are smaller and dimmer.`,
        pictures,
      };
    },
  };
}

/** How well neighbours are kept, among the first of the shuffled rows. */
function trustOf(
  { embeddings: { data, size }, shuffled }: ModelDrawing,
  positions: ArrayLike<number>,
): number {
  const rows = shuffled.slice(0, MEASURED);
  const pick = (values: ArrayLike<number>, width: number): Float32Array =>
    Float32Array.from({ length: rows.length * width }, (_, i) => {
      const row = rows[Math.floor(i / width)] as number;
      return values[row * width + (i % width)] as number;
    });
  return trustworthiness(pick(data, size), size, pick(positions, 3), 3);
}

async function drawCloud(
  drawing: ModelDrawing,
  {
    id,
    name,
    shown,
    positions,
  }: { id: string; name: string; shown: readonly number[]; positions: ArrayLike<number> },
): Promise<FigurePicture[]> {
  const { effort, rgb, signal } = drawing;
  const tiles: Picture[] = [];
  for (let from = 0; from < shown.length; from += 64) {
    signal.throwIfAborted();
    tiles.push(...(await Promise.all(shown.slice(from, from + 64).map((row) => rgb(row, 0)))));
  }
  const cloudOf = (count: number): Cloud => ({
    tiles: tiles.slice(0, count),
    positions: shown.slice(0, count).flatMap((row) => [0, 1, 2].map((k) => positions[3 * row + k] as number)),
  });
  const [width, height] = STILL;
  const size = { width: 2 * width, height: 2 * height };
  const still = openScene(cloudOf(shown.length), { ...size, largest: 2 * TILE, angles: [STILL_ANGLE] }).draw(
    STILL_ANGLE,
  );
  const bytes = await sharp(still.data, { raw: { ...size, channels: 3 } })
    .webp({ quality: 60, effort: 5 })
    .toBuffer();
  const count = Math.min(POINTS[effort][1], shown.length);
  const progress = drawing.progress(`${name} turning`, FRAMES, "frames");
  const angles = Array.from({ length: FRAMES }, (_, i) => STILL_ANGLE + (2 * Math.PI * i) / FRAMES);
  const scene = openScene(cloudOf(count), { width: TURN, height: TURN, largest: 1.1 * TILE, angles });
  const turn = await turnOf(scene, angles, { most: MOST_BYTES, delay: DELAY_MS }, (done) => {
    signal.throwIfAborted();
    progress.update(done);
  });
  progress.finish();
  const what = `of the embedding space in three dimensions by ${name}, each point its tile`;
  return [
    await drawing.saveImage(`${id}.webp`, bytes, {
      alt: `Still ${what}, ${shown.length} points`,
      width,
      height,
    }),
    await drawing.saveImage(`${id}-turn.webp`, turn, {
      ...{
        alt: `Animation ${what}: ${count} points, turning about the upright axis`,
        width: TURN,
        height: TURN,
      },
    }),
  ];
}

/** Figure 15: by the first three principal components. */
export const pcaCloud = cloudFigure({
  ...{ id: "pca", title: "The space by PCA", number: "15", name: "PCA" },
  look: "what the longest axes are about: walk along the cloud from one end to the other, and see what fades out and what comes in. PCA is a straight shadow of the space: distances are true along the three axes, and what lies along the others is on top of one another.",
  place: async ({ embeddings: { data, size } }) => {
    const projection = fitPca(data, size, Math.min(3, size));
    const [first = 0, second = 0, third = 0] = projection.explained;
    const said = [first, second, third].map(percent).join(", ");
    return {
      positions: threeOf(applyProjection(projection, data), Math.min(3, size)),
      made: `Principal components of all ${data.length / size} embeddings; the three axes have ${said} of the variance, ${percent(first + second + third)} together.`,
    };
  },
});

/** With fewer axes, the others are 0. */
function threeOf(scores: Float64Array, axes: number): Float64Array {
  if (axes === 3) return scores;
  return Float64Array.from({ length: (3 * scores.length) / axes }, (_, i) =>
    i % 3 < axes ? (scores[Math.floor(i / 3) * axes + (i % 3)] as number) : 0,
  );
}

/** Figure 16: by t-SNE. */
export const tsneCloud = cloudFigure({
  ...{ id: "tsne", title: "The space by t-SNE", number: "16", name: "t-SNE" },
  look: "clumps of tiles of one sort. Who is next to whom can be trusted; how far clumps lie from one another, and how large they are, cannot.",
  place: async (drawing) => {
    const { embeddings, effort, signal } = drawing;
    const { data, size } = embeddings;
    const rows = data.length / size;
    const arranged = Math.min(rows, ARRANGED[effort]);
    const perplexity = Math.min(30, Math.floor((arranged - 1) / 3));
    const iterations = ITERATIONS[effort];
    const progress = drawing.progress("t-SNE", iterations, "iterations");
    const found = await tsne(data, size, {
      ...{ dimensions: 3, random: drawing.random("tsne"), most: arranged, perplexity, iterations, signal },
      onProgress: (stage, done) => {
        if (stage === "arranging") progress.update(done);
      },
    });
    progress.finish();
    return {
      positions: found.positions,
      made: `t-SNE (Barnes–Hut) of ${arranged} embeddings with a perplexity of ${perplexity}, ${iterations} iterations from PCA${arranged < rows ? "; other places lie in the middle of the five nearest of these" : ""}. Its Kullback–Leibler divergence is ${found.divergence.toFixed(2)}.`,
    };
  },
});

/** Beside them, by UMAP. */
export const umapCloud = cloudFigure({
  ...{ id: "umap", title: "The space by UMAP", name: "UMAP" },
  look: "the same clumps as by t-SNE, and threads that lead from one to another: UMAP keeps more of what lies between. A thread is a change of places that is gradual.",
  place: async (drawing) => {
    const { embeddings, effort, signal } = drawing;
    const { data, size } = embeddings;
    const rows = data.length / size;
    const arranged = Math.min(rows, ARRANGED[effort]);
    const epochs = EPOCHS[effort];
    const progress = drawing.progress("UMAP", epochs, "rounds");
    const found = await umap(data, size, {
      ...{ dimensions: 3, random: drawing.random("umap"), most: arranged, epochs, signal },
      onProgress: (stage, done) => {
        if (stage === "arranging") progress.update(done);
      },
    });
    progress.finish();
    return {
      positions: found.positions,
      made: `UMAP of ${arranged} embeddings with 15 neighbours and a least distance of 0.1, ${epochs} rounds from PCA${arranged < rows ? "; other places lie in the middle of the five nearest of these" : ""}.`,
    };
  },
});
